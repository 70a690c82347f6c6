"""asd-agent doctor as a person calls it: a line of progress a check, findings with remedies, exit codes, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from asd_agent.cli import main
from asd_agent.demo.broker import free_port
from rigs.agent import running, write_config
from rigs.broker import Broker
from rigs.bundles import hum, write_wav
from rigs.command import call
from rigs.waiting import PATIENCE

CHECKS = [
    "bundles",
    "configuration",
    "software",
    "service",
    "permissions",
    "disk",
    "outbox",
    "clock",
    "heat",
    "sound",
    "broker",
]


def doctor(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call(main, "doctor", "-c", config, *options)


def doctor_process(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "doctor", "-c", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def source(tmp_path: Path) -> dict[str, object]:
    return {"kind": "file", "path": str(write_wav(tmp_path / "sound.wav", hum(60, 1))), "loop": True}


@pytest.mark.rig
def test_a_box_that_is_well_exits_0_and_every_check_says_that_it_begins(bundle_path: Path, tmp_path: Path, source):
    with Broker(tmp_path / "broker") as broker:
        done = doctor_process(write_config(tmp_path, bundle_path, source, broker.port))
    assert done.returncode == 0, done.stdout
    assert done.stderr.splitlines() == [f"checking {name} …" for name in CHECKS]
    assert "broker publish: accepts messages and delivers them" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 problems")


def test_a_problem_exits_1_and_stands_above_its_remedy(bundle_path: Path, tmp_path: Path, source):
    done = doctor(write_config(tmp_path, bundle_path, source, free_port()))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("PROBLEM"))
    assert "nothing listens there" in lines[place]
    assert "Is the broker running" in lines[place + 1]


def test_a_configuration_that_cannot_be_used_exits_78_as_one_document(tmp_path: Path):
    (tmp_path / "agent.yaml").write_text("agent: {name: box}\nsource: {}\n")
    done = doctor(tmp_path / "agent.yaml", "--json")
    assert done.returncode == 78
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert f"{tmp_path}/agent.yaml:2" in {f["where"] for f in found["findings"]}


@pytest.mark.rig
def test_a_running_service_is_asked_and_is_no_stranger_at_the_broker(bundle_path: Path, tmp_path: Path, source):
    with Broker(tmp_path / "broker") as broker:
        config = write_config(tmp_path, bundle_path, source, broker.port)
        with running(config) as agent:
            agent.wait_log("listening:")
            found = json.loads(doctor(config, "--json").stdout)["findings"]
            assert agent.process.poll() is None
    said = {f["where"]: f for f in found}
    assert "the service receives its sound" in said["sources.sound"]["what"]
    assert said["agent.name"]["level"] == "ok"
    assert not any(f["level"] == "problem" for f in found), found
    assert not any("taken over" in line for line in agent.lines)


def test_the_first_line_for_editors_is_passed_over(bundle_path: Path, tmp_path: Path, source):
    config = write_config(tmp_path, bundle_path, source, free_port())
    config.write_text("# yaml-language-server: $schema=agent.schema.json\n" + config.read_text())
    assert yaml.safe_load(config.read_text())
    assert doctor(config, "--json").returncode == 1
