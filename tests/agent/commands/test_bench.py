"""asd-agent bench, as a person calls it."""

import json
import subprocess
from pathlib import Path

from asd_agent.cli import main
from rigs.command import call


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return call(main, "bench", *arguments)


def test_json_holds_every_stage_of_the_demos_bundle_and_what_the_box_carries():
    done = bench("--seconds", "0.1", "--hop", "5", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    stages = {s["stage"]: s for s in told["stages"]}
    assert list(stages) == [
        "ring copy",
        "quality",
        "log-mel",
        "network, 4 replicas",
        "density and pooling",
        "explanation",
        "whole window",
    ]
    assert stages["network, 4 replicas"]["part"] == "ae-0"
    assert all(s["p50_ms"] <= s["p99_ms"] and s["repeats"] >= 5 for s in stages.values())
    assert all(s["p50_ms"] > 0 for s in stages.values())
    assert told["provider"] == "CPUExecutionProvider"
    assert told["monitors"] >= 1
    assert told["resident_bytes"] > 10 * 2**20
    assert told["cpu_ms_per_window"] / 1000 / 5 == told["core_share_per_monitor"]


def test_a_table_for_people(bundle_path: Path):
    done = bench("--bundle", bundle_path, "--seconds", "0.05", "--hop", "0.5")
    assert done.returncode == 0, done.stderr
    assert "whole window" in done.stdout
    assert "at a hop of 0.5 s" in done.stdout


def test_no_bundle_is_one_line(tmp_path: Path):
    done = bench("--bundle", tmp_path / "nothing")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no such bundle" in line
