"""asd-agent score and bundle, as a person calls them."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.cli import main
from rigs.bundles import hum, write_wav
from rigs.command import call


def agent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return call(main, *arguments)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in line
    return line


def test_scores_are_said_with_a_verdict_and_as_json(bundle_path: Path, tmp_path: Path):
    good = write_wav(tmp_path / "good.wav", hum(10, 1))
    bad = write_wav(tmp_path / "bad.wav", hum(10, 2, knocks=True))
    done = agent("score", good, bad, "--bundle", bundle_path, "--json")
    assert done.returncode == 0
    clips = json.loads(done.stdout)["clips"]
    assert [c["anomalous"] for c in clips] == [False, True]
    assert "kHz" in clips[1]["explanation"]
    table = agent("score", good, bad, "--bundle", bundle_path).stdout
    assert "normal" in table
    assert "anomalous" in table


def test_44100_hz_stereo_is_scored_with_a_warning(bundle_path: Path, tmp_path: Path):
    import soxr

    path = tmp_path / "stereo.wav"
    sound = soxr.resample(hum(10, 3), 16_000, 44_100)
    soundfile.write(path, np.stack([sound, sound], axis=1), 44_100)
    done = agent("score", path, "--bundle", bundle_path, "--json")
    assert done.returncode == 0
    assert done.stderr.count("warning:") == 2
    (clip,) = json.loads(done.stdout)["clips"]
    assert any("resampled from 44100 Hz" in w for w in clip["warnings"])
    assert np.isfinite(clip["score"])


def test_a_bad_clip_among_good_ones_is_named_and_the_others_are_scored(bundle_path: Path, tmp_path: Path):
    good = write_wav(tmp_path / "good.wav", hum(10, 1))
    cut = write_wav(tmp_path / "cut.wav", hum(10, 1))
    cut.write_bytes(cut.read_bytes()[:-2000])
    done = agent("score", cut, good, "--bundle", bundle_path, "--json")
    assert done.returncode == 1
    assert "cut.wav: truncated, it ends 2000 bytes early. Copy the file again" in one_line(done)
    assert len(json.loads(done.stdout)["clips"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{tmp}/none.wav"], 1, "no such file. Give the path"),
        (["{tmp}/short.wav"], 1, "3.0 s is shorter than a window of 10 s"),
        (["{tmp}/short.wav", "--section", "09"], 1, "has no section '09'"),
        (["{tmp}/short.wav", "--domain", "moon"], 2, "'moon' is not one of"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(bundle_path: Path, tmp_path: Path, arguments, code, words):
    write_wav(tmp_path / "short.wav", hum(3, 1))
    done = agent("score", *[a.format(tmp=tmp_path) for a in arguments], "--bundle", bundle_path)
    assert done.returncode == code
    assert words in one_line(done)


def test_verify_passes_a_whole_bundle_and_names_a_changed_byte(bundle_path: Path, tmp_path: Path):
    assert agent("bundle", "verify", bundle_path).returncode == 0
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    raw = bytearray((copy / "scorers.npz").read_bytes())
    raw[100] ^= 255
    (copy / "scorers.npz").write_bytes(raw)
    done = agent("bundle", "verify", copy)
    assert done.returncode == 1
    assert "scorers.npz: differs from what was exported (SHA-256). Copy or export the bundle again." in one_line(done)


def test_show_lists_every_condition(bundle_path: Path):
    assert agent("bundle", "show", bundle_path).stdout.count("provisional") == 2
    manifest = json.loads(agent("bundle", "show", bundle_path, "--json").stdout)["manifest"]
    assert manifest["machine"] == "hum"
