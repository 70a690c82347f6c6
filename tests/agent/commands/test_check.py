"""asd-agent check: what can start, and when its alarms come."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rigs.bundles import hum, write_wav


def check(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "check", "-c", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def write(folder: Path, bundle: Path, **monitor) -> Path:
    sound = write_wav(folder / "sound.wav", hum(10, 1))
    settings = {
        "agent": {"name": "box"},
        "sources": {"s": {"kind": "file", "path": str(sound)}},
        "monitors": {"m": {"source": "s", "bundle": str(bundle), **monitor}},
        "paths": {"state": str(folder / "state")},
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(settings))
    return folder / "agent.yaml"


def test_a_good_configuration_says_when_an_alarm_can_come_and_makes_nothing(bundle_path: Path, tmp_path: Path):
    done = check(write(tmp_path, bundle_path))
    assert done.returncode == 0
    assert "an alarm comes 20 s after a fault begins, at the earliest" in done.stdout
    assert not (tmp_path / "state").exists()


def test_windows_that_share_their_sound_are_warned_of_and_strict_makes_that_an_error(bundle_path: Path, tmp_path: Path):
    config = write(tmp_path, bundle_path, hop_seconds=2)
    done = check(config)
    assert done.returncode == 0
    assert "Let k be at least 6" in done.stderr
    assert check(config, "--strict").returncode == 78


def test_a_provisional_threshold_is_warned_of(bundle_path: Path, tmp_path: Path):
    assert "rests on 3 clips and is provisional" in check(write(tmp_path, bundle_path, domain="target")).stderr


@pytest.mark.parametrize(
    ("monitor", "words"),
    [({"section": "07"}, "has no section '07'"), ({"domain": "site"}, "in domain 'site'"), ({"k": 1}, "unknown key")],
)
def test_what_cannot_start_exits_78_with_one_line(bundle_path: Path, tmp_path: Path, monitor, words):
    done = check(write(tmp_path, bundle_path, **monitor))
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert words in line


def test_several_mistakes_are_said_at_once_and_as_json(bundle_path: Path, tmp_path: Path):
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    (copy / "golden.npz").write_bytes(b"x")
    config = write(tmp_path, copy)
    (tmp_path / "sound.wav").unlink()
    done = check(config, "--json")
    assert done.returncode == 78
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert len(found["errors"]) == 2
