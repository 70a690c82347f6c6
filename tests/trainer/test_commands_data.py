"""asd-trainer inspect, import and metrics, as a person calls them."""

import csv
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_trainer.cli import main
from asd_trainer.data.dataset import scan
from asd_trainer.families.registry import OWN_FAMILIES
from rigs.command import call

DATA = Path(os.environ.get("ASD_TEST_DATA", "../shared/data"))
RATE = 16_000


def trainer(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = call(main, *arguments)
    assert "Traceback" not in done.stderr
    return done


def noise(seconds: float, seed: int, rate: int = RATE, channels: int = 1) -> np.ndarray:
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def training_clip(root: Path, number: int) -> Path:
    path = root / f"fan/train/section_00_source_train_normal_{number:04d}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def broken_files(root: Path) -> dict[str, str]:
    """Eleven files with one thing wrong each, beside one good one; what has to be reported for each by its name."""
    made = [training_clip(root, i) for i in range(12)]
    write(made[0], noise(10, 0))
    made[1].write_bytes(b"")
    made[2].write_bytes(b"RIFF\x00\x01\xff\xfe" + np.random.default_rng(1).bytes(5000))
    write(made[3], noise(20, 3))
    made[3].write_bytes(made[3].read_bytes()[:400_000])
    made[4].write_text("time;level\n0;3.1\n", encoding="utf-8")
    write(made[5], noise(4.5, 5))
    sound = noise(10, 6)
    sound[1000] = np.nan
    write(made[6], sound, subtype="FLOAT")
    write(made[7], noise(10, 7, 44_100), 44_100)
    write(made[8], noise(10, 8, channels=2))
    made[9].write_bytes(made[0].read_bytes())
    write(made[10], np.zeros(10 * RATE))
    made[11] = write(made[11].with_name("wednesday.wav"), noise(10, 11))
    said = [
        "error: is empty, 0 bytes",
        "error: cannot be read as audio",
        "error: truncated, it ends 240044 bytes early",
        "error: is text, not audio: it begins with 'time;level 0;3.1'",
        "error: is too short: 72000 samples at 16000 Hz (4.5 s) are fewer than the 160000 of a window (10 s)",
        "error: holds NaN or infinite samples",
        "warning: has a rate of 44100 Hz and will be resampled to 16000 Hz",
        "warning: has 2 channels, which will be averaged to one",
        f"warning: has the same content as {made[0]}",
        "warning: is digital silence for 100 % of its length",
        "warning: neither its name nor its folder follows a known layout",
    ]
    return {str(path): text for path, text in zip(made[1:], said, strict=True)}


def test_every_kind_of_broken_file_gets_one_clear_line_and_exit_code_1(tmp_path: Path):
    wanted = broken_files(tmp_path)
    done = trainer("inspect", tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == len(wanted) == 11
    for path, text in wanted.items():
        kind, words = text.split(": ", maxsplit=1)
        assert sum(line.startswith(f"{kind}: {path}: {words}") for line in lines) == 1, (text, done.stderr)
    assert "11 (6 broken)" in done.stdout
    assert "section 00: no target clips: source domain only" in done.stdout


def test_warnings_alone_give_exit_code_0(tmp_path: Path):
    for path, text in broken_files(tmp_path).items():
        if text.startswith("error"):
            Path(path).unlink()
    done = trainer("inspect", tmp_path)
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["warning"] * 5


def test_inspect_gives_one_json_document(tmp_path: Path):
    broken_files(tmp_path)
    done = trainer("inspect", tmp_path, "--json")
    document = json.loads(done.stdout)
    assert (document["schema"], document["ok"], done.returncode) == (1, False, 1)
    assert sorted(p["kind"] for p in document["problems"]) == [
        "channels", "duplicate", "empty", "misnamed", "not_finite", "rate", "silence", "too_short", "truncated",
        "unreadable", "unreadable",
    ]  # fmt: skip
    (group,) = document["groups"]
    assert (group["machine"], group["clips"], group["broken"], group["rates"]) == ("fan", 11, 6, [16_000, 44_100])


@pytest.mark.parametrize("before", [[], ["--families"]])
def test_an_interrupted_import_states_how_to_continue_also_behind_other_options(tmp_path: Path, monkeypatch, before):
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("asd_trainer.data.import_recordings.import_recordings", interrupted)
    monkeypatch.setattr("asd_trainer.families.registry.load_folder", lambda folder: folder)
    monkeypatch.setenv(OWN_FAMILIES, "")
    recording = write(tmp_path / "monday.wav", noise(12, 1))
    options = [*before, tmp_path] if before else []
    done = trainer(*options, "import", recording, tmp_path / "data", "--machine", "press")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].endswith("Run the same command again to continue from here.")


def test_a_folder_without_clips_is_said_in_one_line(tmp_path: Path):
    done = trainer("inspect", tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "holds no clips in a known layout" in line


def test_imported_recordings_are_a_data_set_that_inspect_finds_whole(tmp_path: Path):
    recordings = [
        write(tmp_path / "monday.wav", noise(25, 1)),
        write(tmp_path / "tuesday.flac", noise(20, 2, 48_000, channels=2), 48_000),
    ]
    out = tmp_path / "data"
    done = trainer("import", *recordings, out, "--machine", "press", "--section", "02")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{recordings[0]}: 2 clips written, 0 kept",
        f"{recordings[1]}: 2 clips written, 0 kept",
    ]
    assert f"warning: {recordings[0]}: the last 5.0 s are not a whole clip and were left out" in done.stderr
    assert [(c.machine, c.section, c.recording) for c in scan(out).clips] == [
        ("press", "02", r) for r in ("monday", "monday", "tuesday", "tuesday")
    ]
    assert trainer("inspect", out).stderr == ""
    again = trainer("import", *recordings, out, "--machine", "press", "--section", "02", "--json")
    rows = json.loads(again.stdout)["recordings"]
    assert [(r["name"], r["written"], r["kept"]) for r in rows] == [("monday", 0, 2), ("tuesday", 0, 2)]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--machine", "my press"], 2, "machine 'my press' cannot be part of a name"),
        (["--machine", "press", "--label", "anomaly"], 2, "training takes only normal clips"),
        (["--machine", "press", "--seconds", "5"], 2, "clips of 5 s are too short"),
        (["--machine", "press", "--seconds", "30"], 1, "no clip could be cut from any recording"),
        (["--machine", "press", "--channel", "1"], 1, "has no channel 1, only 1 channel"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_what_would_be_right(tmp_path: Path, options, code, words):
    recording = write(tmp_path / "monday.wav", noise(12, 1))
    done = trainer("import", recording, tmp_path / "data", *options)
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("system", ["ae", "mobilenetv2"])
def test_metrics_prints_the_figures_of_a_public_runs_result_csv(system: str):
    folder = DATA / "dcase2021_scores" / system
    if not folder.is_dir():
        pytest.skip(f"needs the public score files in {folder}")
    done = trainer("metrics", folder, "--draws", "0", "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    cells = {(c["machine"], c["section"], c["domain"]): c for c in document["cells"]}
    compared = 0
    with (folder / "result.csv").open(newline="") as file:
        machine, columns = "", []
        for row in csv.reader(file):
            if len(row) == 1:
                (machine,) = row
            elif "AUC" in row:
                columns = row[2:]
            elif row and row[2]:
                over = (
                    document["machines"][machine] if row[0] in ("arithmetic mean", "harmonic mean") else document["all"]
                )
                mine = cells[(machine, *row[:2])] if row[1] else over[f"{row[0].split()[0]}_mean"]
                assert [mine[c] for c in columns] == pytest.approx([float(v) for v in row[2:]], abs=1e-12)
                compared += 1
    assert compared == len(cells) + 2 * len(document["machines"]) + 2
    assert len(cells) == 42
    assert document["left_out"] == []
