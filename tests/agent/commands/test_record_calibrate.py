"""record and calibrate as a person uses them: from a microphone, beside the running service and without it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile
import yaml

from asd_agent.audio.quality import level_dbfs
from asd_agent.cli import main
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.command import call
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.waiting import PATIENCE

SCORES = "asd/box/monitor/m/score"


def agent(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", *map(str, arguments)]
    env = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=env)


def clips(folder: Path, count: int, *, pitch: float = 180.0) -> Path:
    for i in range(count):
        write_wav(folder / f"{i:02d}.wav", hum(10, 500 + i, pitch=pitch))
    return folder


def set_domain(config: Path, domain: str) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["monitors"]["m"]["domain"] = domain
    config.write_text(yaml.safe_dump(settings))


def test_from_recordings_to_a_site_that_is_checked_scored_and_taken_back(bundle_path: Path, tmp_path: Path):
    sound = clips(tmp_path / "clips", 12)
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": str(sound)}, 1, domain="site", hop_seconds=10)
    refused = agent("run", "-c", config)
    assert refused.returncode == 78
    assert "was not calibrated here" in refused.stderr
    assert call(main, "check", "-c", config).returncode == 78

    tried = call(main, "calibrate", "m", "-c", config, "--clips", sound, "--dry-run", "--json")
    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout)["overlay"] is None
    assert json.loads(tried.stdout)["left_out"] == {}
    draft = agent("calibrate", "m", "-c", config, "--clips", sound, "--draft", tmp_path / "draft")
    assert f"written to {tmp_path / 'draft' / '0001'}; nothing uses it" in draft.stdout
    assert agent("calibrate", "m", "-c", config, "--clips", sound, "--draft", tmp_path / "draft").returncode == 2
    assert not (tmp_path / "state" / "site").exists()

    done = call(main, "calibrate", "m", "-c", config, "--clips", sound)
    assert done.returncode == 0, done.stderr
    assert "12 windows (2.0 min) from 12 recordings" in done.stdout
    assert "100 % above its threshold" in done.stdout
    assert "warning: 100 % of it is anomalous by the bundle's own threshold" in done.stdout
    assert call(main, "check", "-c", config).returncode == 0
    place = ("--bundle", bundle_path, "--state", tmp_path / "state", "--json")
    scored = call(main, "score", *sorted(sound.iterdir()), "--domain", "site", *place)
    assert sum(c["anomalous"] for c in json.loads(scored.stdout)["clips"]) <= 1
    scored = call(main, "score", *sorted(sound.iterdir()), "--domain", "source", *place)
    assert all(c["anomalous"] for c in json.loads(scored.stdout)["clips"])

    assert call(main, "calibrate", "m", "-c", config, "--undo").returncode == 0
    assert call(main, "check", "-c", config).returncode == 78


def test_of_a_stereo_recording_the_monitors_channel_is_taken(bundle_path: Path, tmp_path: Path):
    left, right = hum(60, 1), 4 * hum(60, 2)
    stereo = write_wav(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    for channel, sound in ((0, left), (1, right)):
        source = {"kind": "file", "path": str(stereo), "channels": [0, 1]}
        config = write_config(tmp_path, bundle_path, source, 1, channel=channel)
        done = call(main, "calibrate", "m", "-c", config, "--clips", stereo, "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)["difference"]["level_dbfs"]
        assert found == pytest.approx(level_dbfs(sound[:160_000]), abs=0.3)  # the mean of both is 4 dB off either
    mono = write_wav(tmp_path / "mono.wav", left)  # as `record` writes it of any channel
    assert call(main, "calibrate", "m", "-c", config, "--clips", mono, "--dry-run").returncode == 0


def test_the_level_is_for_the_monitors_own_rule_and_wanted_rate(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "long.wav", hum(300, 1))
    source = {"kind": "file", "path": str(sound)}

    def threshold(*options: object, **alarm: object) -> dict[str, float]:
        config = write_config(tmp_path, bundle_path, source, 1, alarm=alarm)
        done = call(main, "calibrate", "m", "-c", config, "--clips", sound, "--dry-run", "--json", *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    default = threshold()
    assert default["attainable"]
    assert default["wanted_per_day"] == pytest.approx(default["least_per_day"])  # 30 windows support no less
    calm, eager = threshold(raise_after="6 of 8"), threshold(raise_after="1 of 1")
    assert calm["least_per_day"] < default["least_per_day"] / 3
    assert eager["least_per_day"] > 10 * default["least_per_day"]
    stated = threshold(alarms_per_day=2000)
    assert stated["wanted_per_day"] == 2000
    assert stated["threshold"] < default["threshold"]
    assert threshold("--alarms-per-day", 0.1, alarms_per_day=2000)["attainable"] is False


def test_a_stopped_machine_becomes_normal_neither_by_calibrate_nor_by_record(bundle_path: Path, tmp_path: Path):
    rest = (1e-4 * np.random.default_rng(0).normal(size=60 * 16_000)).astype(np.float32)
    sound = write_wav(tmp_path / "day.wav", np.concatenate([hum(60, 1), rest, hum(60, 2)]))
    source = {"kind": "file", "path": str(sound), "speed": 1000}
    config = write_config(tmp_path, bundle_path, source, 1, active_when={"level_above_dbfs": -50})
    done = call(main, "calibrate", "m", "-c", config, "--clips", sound, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["windows"] == 10  # of 18, without six at rest and two beside them
    assert "windows left out: 6 for stopped, 2 for beside_stop" in done.stderr
    out = tmp_path / "data"
    made = call(main, "record", "-c", config, "--machine", "hum", "--out", out, "--minutes", "3", "--json")
    assert json.loads(made.stdout)["refused"] == {"stopped": 6, "beside_stop": 2}
    assert json.loads(made.stdout)["clips"] == 10


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("calibrate", "x"), "'x' is no monitor", 2),
        (("calibrate", "m", "--clips", "none.wav"), "none.wav: no such file", 1),
        (("calibrate", "m", "--like", "site"), "--like 'site' is not one of", 2),
        (("calibrate", "m", "--undo"), "no calibration to undo", 1),
        (("record", "--machine", "fan", "--source", "x"), "has no source 'x'", 2),
        (("record", "--machine", "../x"), "may hold only letters", 2),
        (("record", "--machine", "fan", "--section", "7"), "is not two digits", 2),
        (("record", "--machine", "fan", "--device", "x"), "Give one of --config, --device and --file", 2),
    ],
)
def test_what_is_wrong_is_said_in_one_line(bundle_path: Path, tmp_path: Path, arguments, words, code):
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": str(tmp_path)}, 1)
    done = call(main, *arguments, "-c", config)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recording_becomes_clips_and_is_gone_on_with(tmp_path: Path):
    sound = np.concatenate([hum(30, 1), np.zeros(10 * 16_000, dtype=np.float32), hum(20, 2)])
    source = write_wav(tmp_path / "long.wav", sound)
    call = ("record", "--file", source, "--machine", "press", "--out", tmp_path / "data", "--json")
    done = agent(*call, "--minutes", "0.5")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["clips"] == 3
    assert agent(*call, "--minutes", "0.5").returncode == 0
    rest = agent(*call, "--minutes", "2")
    assert rest.returncode == 1  # the recording is over before
    said = json.loads(rest.stdout)
    assert (said["clips"], said["recorded"], said["refused"]) == (8, 5, {"silence": 1})
    (clip,) = (tmp_path / "data/press/train").glob("section_00_source_train_normal_0000_rec_*.wav")
    first, _rate = soundfile.read(clip, dtype="int16")
    np.testing.assert_array_equal(first, soundfile.read(source, dtype="int16")[0][:160_000])


def test_damaged_recordings_are_named_and_the_others_are_recorded(tmp_path: Path):
    folder = tmp_path / "sound"
    write_wav(folder / "a.wav", hum(25, 1))
    (folder / "a.wav").write_bytes((folder / "a.wav").read_bytes()[:-2000])
    soundfile.write(folder / "b.wav", hum(12, 1), 16_000, subtype="GSM610")
    write_wav(folder / "c.wav", hum(15, 1))
    done = call(main, "record", "--file", folder, "--machine", "press", "--out", tmp_path / "data", "--minutes", "0.5")
    assert done.returncode == 1
    _start, *lines = done.stderr.splitlines()
    assert [line.split(". ")[0] for line in lines] == [
        f"asd-agent: {folder}/a.wav: truncated, it ends 2000 bytes early",
        f"asd-agent: {folder}/b.wav: is a wav with GSM, which is not read",
    ]
    assert "3 of 3 clips" in done.stdout


def test_a_recording_that_cannot_be_read_ends_at_once(tmp_path: Path):
    """It used to be waited for like a microphone, for half a minute."""
    path = tmp_path / "phone.wav"
    soundfile.write(path, hum(12, 1), 16_000, format="OGG", subtype="VORBIS")
    with mock.patch("asd_agent.audio.window_source.TIMEOUT_SECONDS", PATIENCE):
        done = call(main, "record", "--file", path, "--machine", "press", "--out", tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"asd-agent: {path}: is Ogg (Vorbis, Opus), which is not read")


def test_normal_sound_is_taken_from_every_recording_that_can_be_read(bundle_path: Path, tmp_path: Path):
    elsewhere = clips(tmp_path / "elsewhere", 9)
    sound = tmp_path / "clips"
    sound.mkdir()
    (sound / "linked").symlink_to(elsewhere)
    (sound / "loop").symlink_to(sound)
    (sound / "._00.wav").write_bytes(b"Mac OS X")
    soundfile.write(sound / "low.wav", hum(10, 1), 8_000)
    soundfile.write(sound / "phone.wav", hum(10, 1), 16_000, format="MP3")
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": str(sound)}, 1)
    done = call(main, "calibrate", "m", "-c", config, "--clips", sound, "--dry-run", "--json")
    assert done.returncode == 1  # one recording or more could not be read
    assert json.loads(done.stdout)["windows"] == 9
    assert [line.split(". ")[0] for line in done.stderr.splitlines()] == [
        f"warning: {sound}: 1 hidden sound file is left out, such as ._00.wav",
        f"asd-agent: {sound}/low.wav: recorded at 8000 Hz, so it has no sound above 4 kHz, which the bundle judges",
        f"asd-agent: {sound}/phone.wav: is MP3, which is not read",
    ]


@pytest.mark.rig
def test_a_microphone_is_recorded_beside_the_service_and_without_it(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "sound.wav", hum(150, 51, pitch=180.0))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        environment = microphone.environment
        source = {"kind": "microphone", "device": DEVICE}
        config = write_config(tmp_path, bundle_path, source, broker.port, hop_seconds=5)
        call = ("record", "-c", config, "--machine", "fan", "--out", tmp_path / "data", "--json")
        with Listener(broker.settings(), "asd/#") as heard, running(config, environment) as service:
            microphone.play(sound)
            heard.wait_where(SCORES, lambda s: s["score"] is not None)
            beside = agent(*call, "--minutes", "0.15", environment=environment)
            assert beside.returncode == 0, beside.stderr
            assert json.loads(beside.stdout)["clips"] == 1
            done = agent("calibrate", "m", "-c", config, "--minutes", "0.5", "--json", environment=environment)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["provisional"] is True
            set_domain(config, "site")
            service.process.send_signal(1)
            heard.wait_where(SCORES, lambda s: s["domain"] == "site" and s["score"] is not None)
            assert len(service.children()) == 1  # nobody else opened the microphone
        microphone.play(sound)
        alone = agent(*call, "--minutes", "0.3", environment=environment)
    assert alone.returncode == 0, alone.stderr
    assert json.loads(alone.stdout)["recorded"] == 1
    shutil.rmtree(tmp_path / "data")


@pytest.mark.rig
def test_recording_a_muted_microphone_ends_and_names_the_silence(tmp_path: Path):
    with VirtualMicrophone() as microphone:
        done = agent(
            *("record", "--device", DEVICE, "--machine", "fan", "--out", tmp_path / "data", "--give-up-minutes", "0.1"),
            environment=microphone.environment,
        )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"listening to source {DEVICE}, 120 clips are wanted")
    assert "nothing was fit to keep for 0.1 min (silence); 0 of 120 clips are recorded" in lines[-1]
    assert "asd-agent doctor" in lines[-1]


@pytest.mark.rig
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside the service"])
def test_recording_a_microphone_that_is_gone_ends_and_names_it(bundle_path: Path, tmp_path: Path, beside: bool):
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        microphone.unplug()
        config = write_config(tmp_path, bundle_path, {"kind": "microphone", "device": DEVICE}, broker.port)
        arguments = ("record", "-c", config, "--machine", "fan", "--out", tmp_path / "data")
        with contextlib.ExitStack() as stack:
            if beside:
                service = stack.enter_context(running(config, microphone.environment))
                service.wait_log("waiting for it")
            with (
                mock.patch("asd_agent.audio.window_source.TIMEOUT_SECONDS", 8.0),
                mock.patch.dict(os.environ, microphone.environment),
            ):
                done = call(main, *arguments)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "delivers nothing" in last
    assert f"no microphone '{DEVICE}'" in last
