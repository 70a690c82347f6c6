"""asd-agent score and bundle, as a person calls them."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.cli import main
from rigs.agent import write_config
from rigs.bundles import hum, write_wav
from rigs.command import call
from rigs.hostile import of_another_shape, with_network


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


def test_recordings_scored_on_several_cores_keep_their_order_and_scores(bundle_path: Path, tmp_path: Path, monkeypatch):
    clips = [write_wav(tmp_path / f"{i}.wav", hum(10, i, knocks=i % 2 == 1)) for i in range(5)]
    clips[3].write_bytes(clips[3].read_bytes()[:-2000])
    outputs = []
    for number in ("1", "3"):
        monkeypatch.setenv("ASD_CORES", number)
        done = agent("score", *clips, "--bundle", bundle_path, "--json")
        assert done.returncode == 1
        assert "3.wav" in one_line(done)
        outputs.append(json.loads(done.stdout))
    assert [Path(c["clip"]).name for c in outputs[0]["clips"]] == ["0.wav", "1.wav", "2.wav", "4.wav"]
    assert outputs[0] == outputs[1]


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
        (["{tmp}/short.wav"], 1, "48000 samples at 16000 Hz (3 s) are fewer than the 160000 of a window (10 s)"),
        (["{tmp}/short.wav", "--rule", "4 of 3"], 2, "'4 of 3' is no rule. Write it as '3 of 4'"),
        (["{tmp}/short.wav", "--channel", "7"], 1, "has no channel 7, only 1"),
        (["{tmp}/short.wav", "--section", "09"], 1, "has no section '09'"),
        (["{tmp}/short.wav", "--domain", "moon"], 2, "'moon' is not one of"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(bundle_path: Path, tmp_path: Path, arguments, code, words):
    write_wav(tmp_path / "short.wav", hum(3, 1))
    done = agent("score", *[a.format(tmp=tmp_path) for a in arguments], "--bundle", bundle_path)
    assert done.returncode == code
    assert words in one_line(done)


def test_a_long_recording_is_listed_window_by_window_and_a_few_faulty_ones_are_an_alarm(
    bundle_path: Path, tmp_path: Path
):
    sound = np.concatenate([hum(60, 1), hum(30, 2, knocks=True), hum(90, 3)])
    path = write_wav(tmp_path / "long.wav", sound)
    done = agent("score", path, "--bundle", bundle_path, "--json")
    assert done.returncode == 0
    (clip,) = json.loads(done.stdout)["clips"]
    assert clip["anomalous"]
    assert (clip["rule"], len(clip["windows"])) == ("3 of 4", 35)
    assert [w["start"] for w in clip["windows"] if w["verdict"] == "anomalous"] == [55, 60, 65, 70, 75, 80, 85]
    assert [(a["raised"], a["cleared"]) for a in clip["alarms"]] == [(75, 115)]
    lines = agent("score", path, "--bundle", bundle_path).stdout.splitlines()
    assert len(lines) == 1 + 35 + 1
    assert lines[-1].endswith(
        "long.wav: anomalous: alarm from 1:15 to 1:55 (7 of 35 windows over the raise level, rule 3 of 4)"
    )


def test_another_rule_and_hop_are_applied(bundle_path: Path, tmp_path: Path):
    path = write_wav(tmp_path / "long.wav", np.concatenate([hum(30, 1), hum(10, 2, knocks=True), hum(30, 3)]))
    for rule, anomalous in (("1 of 1", True), ("2 of 4", False)):
        done = agent("score", path, "--bundle", bundle_path, "--json", "--hop", "10", "--rule", rule)
        (clip,) = json.loads(done.stdout)["clips"]
        assert (clip["anomalous"], clip["rule"], len(clip["windows"])) == (anomalous, rule, 7)


def test_the_settings_of_a_monitor_are_the_defaults(bundle_path: Path, tmp_path: Path):
    path = write_wav(tmp_path / "long.wav", hum(30, 1))
    alarm = {"raise_after": "2 of 3"}
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": str(path)}, 1, section="01", alarm=alarm)
    done = agent("score", path, "--monitor", "m", "-c", config, "--json")
    assert json.loads(done.stdout)["clips"][0]["rule"] == "2 of 3"
    done = agent("score", path, "--monitor", "x", "-c", config)
    assert (done.returncode, "'x' is no monitor of" in one_line(done)) == (2, True)
    done = agent("score", path)
    assert (done.returncode, "no bundle is named" in one_line(done)) == (2, True)


def test_five_faulty_minutes_in_fifteen_are_no_normal_recording(bundle_path: Path, tmp_path: Path):
    sound = np.concatenate([hum(300, 1), hum(300, 2, knocks=True), hum(300, 3)])
    path = write_wav(tmp_path / "long.wav", sound)
    done = agent("score", path, "--bundle", bundle_path, "--hop", "10")
    assert done.returncode == 0
    assert f"{path}: anomalous: alarm from 5:30 to 10:40" in done.stdout


def test_channel_0_of_a_stereo_recording_is_channel_0(bundle_path: Path, tmp_path: Path):
    left, right = hum(10, 1), hum(10, 2, knocks=True)
    both, alone = tmp_path / "stereo.wav", write_wav(tmp_path / "left.wav", left)
    soundfile.write(both, np.stack([left, right], axis=1), 16_000, subtype="PCM_16")
    done = agent("score", alone, both, "--channel", "0", "--bundle", bundle_path, "--json")
    scores = [clip["score"] for clip in json.loads(done.stdout)["clips"]]
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)
    assert done.stderr == ""


LOSSY = [("WAV", "GSM610", "is a wav with GSM"), ("OGG", "VORBIS", "is Ogg"), ("MP3", None, "is MP3")]


@pytest.mark.parametrize(("form", "subtype", "words"), LOSSY)
def test_a_lossy_recording_is_refused_by_its_content_and_the_others_are_scored(
    bundle_path: Path, tmp_path: Path, form: str, subtype: str | None, words: str
):
    lossy, good = tmp_path / "phone.wav", write_wav(tmp_path / "good.wav", hum(10, 1))
    soundfile.write(lossy, hum(12, 1), 16_000, format=form, subtype=subtype)
    done = agent("score", lossy, good, "--bundle", bundle_path, "--json")
    assert done.returncode == 1
    assert f"{lossy}: {words}" in one_line(done)
    assert len(json.loads(done.stdout)["clips"]) == 1


def test_silence_is_not_scored_and_is_an_error(bundle_path: Path, tmp_path: Path):
    path = write_wav(tmp_path / "silence.wav", np.zeros(16_000 * 10, np.float32))
    done = agent("score", path, "--bundle", bundle_path, "--json")
    assert done.returncode == 1
    assert "silence.wav: no window could be scored. Check the microphone" in done.stderr
    (clip,) = json.loads(done.stdout)["clips"]
    assert (clip["score"], clip["anomalous"], clip["windows"][0]["verdict"]) == (None, None, "invalid")
    assert clip["windows"][0]["reasons"][0] == "silence"


def test_a_recording_at_8_khz_is_refused(bundle_path: Path, tmp_path: Path):
    path = tmp_path / "k8.wav"
    soundfile.write(path, hum(10, 1)[::2], 8_000)
    done = agent("score", path, "--bundle", bundle_path)
    assert done.returncode == 1
    assert "k8.wav: recorded at 8000 Hz, so it has no sound above 4 kHz" in one_line(done)


def test_a_name_with_terminal_codes_and_markup_is_printed_as_text(bundle_path: Path, tmp_path: Path):
    good = write_wav(tmp_path / "[red]a\x1b[2J\n.wav", hum(10, 1))
    done = agent("score", good, tmp_path / "none\x1b[31m.wav", "--bundle", bundle_path)
    assert done.returncode == 1
    assert "[red]a\\x1b[2J\\n.wav" in done.stdout
    assert "none\\x1b[31m.wav: no such file" in one_line(done)


def test_a_bundle_that_does_not_give_its_golden_scores_scores_nothing(tmp_path: Path):
    path = with_network(tmp_path, of_another_shape())
    done = agent("score", write_wav(tmp_path / "a.wav", hum(10, 1)), "--bundle", path)
    assert done.returncode == 1
    assert "demo-fan: cannot be scored" in one_line(done)


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
