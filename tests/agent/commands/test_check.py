"""asd-agent check: what can start, and when its alarms come."""

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml

from asd_agent.bundle import Bundle
from asd_agent.bundle.arrays import load_arrays, save_arrays
from asd_agent.bundle.files import SCORERS
from asd_agent.cli import main
from asd_agent.commands.check import config_schema
from rigs.bundles import hum, write_wav
from rigs.command import call
from rigs.mutations import relisted


def check(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call(main, "check", "-c", config, *options)


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
    assert "is provisional: it rests on 3 clips" in check(write(tmp_path, bundle_path, domain="target")).stderr


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        ({"section": "07"}, "has no section '07'"),
        ({"domain": "site"}, "was not calibrated here"),
        ({"k": 1}, "unknown key"),
    ],
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


def test_the_schema_for_editors_is_kept_and_takes_what_check_takes(bundle_path: Path, tmp_path: Path):
    kept = json.loads((Path(__file__).parents[3] / "docs/schemas/agent.schema.json").read_text())
    assert kept == config_schema(), "run scripts/write-config-schema"
    schema = jsonschema.Draft202012Validator(kept)
    settings = yaml.safe_load(write(tmp_path, bundle_path, alarm={"raise_after": "3 of 4"}).read_text())
    assert list(schema.iter_errors(settings)) == []
    settings["monitors"]["m"]["hop"] = 5
    (wrong,) = schema.iter_errors(settings)
    assert "'hop' was unexpected" in wrong.message


def test_one_broken_bundle_hides_neither_another_nor_a_monitor(bundle_path: Path, tmp_path: Path):
    config = write(tmp_path, bundle_path)
    settings = yaml.safe_load(config.read_text())
    settings["monitors"] |= {
        "gone": {"source": "s", "bundle": "nowhere"},
        "away": {"source": "s", "bundle": "elsewhere"},
        "m": {"source": "s", "bundle": str(bundle_path), "section": "07"},
    }
    config.write_text(yaml.safe_dump(settings))
    found = json.loads(check(config, "--json").stdout)["findings"]
    wrong = {f["key"]: f for f in found if f["level"] == "error"}
    assert set(wrong) == {"monitors.gone.bundle", "monitors.away.bundle", "monitors.m.section"}
    lines = config.read_text().splitlines()
    assert all(key.rsplit(".", 1)[1] in lines[f["line"] - 1] for key, f in wrong.items())


@pytest.mark.parametrize("change", [lambda x: x * np.inf, lambda x: x.astype("U8"), lambda x: x[:0], lambda x: x[None]])
def test_damaged_reference_scores_are_reported_once_and_without_a_warning_of_numpy(bundle_path, tmp_path, change):
    damaged = shutil.copytree(bundle_path, tmp_path / "damaged")
    arrays = load_arrays(damaged / SCORERS)
    key = Bundle.open(damaged).condition("00", "source").reference
    save_arrays(damaged / SCORERS, {**arrays, key: change(arrays[key])})
    relisted(damaged, SCORERS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = json.loads(check(write(tmp_path, damaged), "--json").stdout)["findings"]
    (wrong,) = [f for f in found if f["level"] == "error"]
    assert wrong["key"] == "monitors.m.bundle"
    assert key in wrong["text"]
    assert not [f for f in found if "false alarms" in f["text"]]


def test_a_missing_bundle_is_reported_beside_a_mistake(bundle_path: Path, tmp_path: Path):
    config = write(tmp_path, bundle_path, section=0)
    settings = yaml.safe_load(config.read_text())
    settings["monitors"] |= {
        "gone": {"source": "s", "bundle": "nowhere"},
        "odd": {"source": "s", "bundle": ["x"]},
        "none": None,
    }
    settings["paths"]["bundles"] = 3
    config.write_text(yaml.safe_dump(settings))
    found = json.loads(check(config, "--json").stdout)["findings"]
    wrong = {f["key"]: f["text"] for f in found}
    assert "write two digits" in wrong["monitors.m.section"]
    assert "no such bundle" in wrong["monitors.gone.bundle"]
    assert "valid" in wrong["monitors.odd.bundle"]
    assert "monitors.m.bundle" not in wrong
    assert all(f["line"] for f in found)


@pytest.mark.parametrize(
    ("level", "word"),
    [(-60.0, None), (-27.0, "warning"), (-5.0, "error")],
)
def test_a_gate_is_held_against_the_levels_of_calibration(bundle_path: Path, tmp_path: Path, level, word):
    config = write(tmp_path, bundle_path, active_when={"level_above_dbfs": level})
    found = json.loads(check(config, "--json").stdout)["findings"]
    assert [f["level"] for f in found if "active_when" in f["key"]] == ([word] if word else [])
