"""`asd-agent learn`: a bundle from normal sound that every other command accepts and that raises on a fault."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.cli import main
from rigs.bundles import hum, write_wav
from rigs.command import call

MINUTES = 4


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Normal clips as `record` writes them: two stretches, another section and an anomaly beside them."""
    folder = tmp_path_factory.mktemp("data") / "hum" / "train"
    for number in range(6 * MINUTES):
        stretch = number // (3 * MINUTES)
        name = f"section_00_source_train_normal_{number:04d}_rec_20270115T0800b0s{stretch}.wav"
        write_wav(folder / name, hum(10, 500 + number))
    write_wav(folder / "section_01_source_train_normal_0000.wav", hum(10, 1, pitch=400.0))
    write_wav(folder / "section_00_source_test_anomaly_0000.wav", hum(10, 1, knocks=True))
    return folder


@pytest.fixture(scope="module")
def learnt(normal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models")
    done = call(main, "learn", "--machine", "hum", "--clips", normal, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["windows"] == 6 * MINUTES
    assert "2 of 26 recordings are of another section or anomalous" in done.stderr
    return Path(document["bundle"])


def test_the_bundle_is_whole_and_its_golden_windows_score_as_they_must(learnt: Path):
    bundle = Bundle.open(learnt)
    assert [e.name for e in bundle.condition("00", "source").experts] == ["indicators", "mel_statistics"]
    assert len(bundle.golden()["scores"]) == 2
    assert bundle.golden()["scores"][1] > bundle.golden()["scores"][0] + 5  # the disturbed one
    done = call(main, "bundle", "verify", learnt)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_a_fault_is_above_the_level_and_healthy_sound_is_not(learnt: Path, tmp_path: Path):
    healthy = [write_wav(tmp_path / f"n{i}.wav", hum(30, 900 + i)) for i in range(4)]
    faulty = [write_wav(tmp_path / f"f{i}.wav", hum(30, 900 + i, knocks=True)) for i in range(2)]
    done = call(main, "score", *healthy, *faulty, "--bundle", learnt, "--json")
    assert [c["anomalous"] for c in json.loads(done.stdout)["clips"]] == [False] * 4 + [True] * 2


def test_the_bundle_calibrates_again_on_the_spot(normal: Path, tmp_path: Path):
    made = call(
        main, "learn", "--machine", "hum", "--clips", normal, "--out", tmp_path, "--detector", "level", "--name", "l"
    )
    assert made.returncode == 0, made.stderr
    config = tmp_path / "agent.yaml"
    document = {
        "agent": {"name": "box"},
        "mqtt": {"host": "127.0.0.1"},
        "paths": {"state": str(tmp_path / "state")},
        "sources": {"s": {"kind": "file", "path": str(normal)}},
        "monitors": {"m": {"source": "s", "bundle": str(tmp_path / "l"), "section": "00", "domain": "site"}},
    }
    config.write_text(json.dumps(document))
    sound = write_wav(tmp_path / "long.wav", hum(150, 3, pitch=180.0))
    done = call(main, "calibrate", "m", "-c", config, "--clips", sound, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["windows"] == 15


def test_a_source_is_listened_to_and_the_next_steps_are_printed(tmp_path: Path):
    sound = write_wav(tmp_path / "day.wav", np.concatenate([hum(120, 1), np.zeros(160_000, np.float32), hum(60, 2)]))
    done = call(
        main, "learn", "--machine", "press", "--section", "02", "--file", sound, "--minutes", "3", "--out",
        tmp_path / "m", "--detector", "indicators", "--alarms-per-day", "500",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "windows left out: 1 for silence" in done.stderr
    assert "provisional: all sound is of one recording session" in done.stdout
    assert f"asd-agent bundle install {tmp_path / 'm/press'}" in done.stdout
    assert 'press-02: {source: recording, bundle: press, section: "02"}' in done.stdout
    level = Bundle.open(tmp_path / "m/press").condition("02", "source").threshold
    assert level.wanted_per_day == 500
    assert level.rule is not None


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("--machine", "a b"), "--machine 'a b' may hold only", 2),
        (("--machine", "a", "--section", "7"), "not two digits", 2),
        (("--machine", "a", "--detector", "torch"), "is not one of level, mel_statistics, indicators, mixed", 2),
        (("--machine", "a"), "no source is given", 2),
        (("--machine", "a", "--clips", "x", "--device", "y"), "both recordings and a source", 2),
        (("--machine", "a", "--clips", "none"), "none: no such file or folder", 1),
    ],
)
def test_a_mistake_is_named_with_its_remedy(arguments: tuple[str, ...], words: str, code: int):
    done = call(main, "learn", *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_too_little_sound_is_refused(tmp_path: Path):
    sound = write_wav(tmp_path / "short.wav", hum(60, 1))
    done = call(main, "learn", "--machine", "a", "--clips", sound, "--out", tmp_path / "m")
    assert done.returncode == 1
    assert "too few windows of normal sound to learn from: 6" in done.stderr
    assert not (tmp_path / "m").exists()
