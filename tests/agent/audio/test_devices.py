"""`asd-agent devices` on a box with a microphone, without one, and without PortAudio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.devices import InputDevice, list_inputs
from asd_agent.errors import AudioError
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.waiting import PATIENCE

_COMMAND = """
import sys, typer
from asd_agent.commands.devices import devices
from asd_agent.commands.console import run_command
app = typer.Typer()
app.command()(devices)
run_command("asd-agent", app)
"""


def devices(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def no_devices(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "asound.conf").write_text("</usr/share/alsa/alsa.conf>\nctl.!hw { type none }\n")
    return {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}


@pytest.fixture
def no_portaudio(tmp_path: Path) -> dict[str, str]:
    """A stand-in for `import sounddevice` where the library is not installed; and libraries are chatty."""
    (tmp_path / "sounddevice.py").write_text(
        "import os\nos.write(1, b'Expression failed\\n')\nraise OSError('PortAudio library not found')\n"
    )
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.rig
def test_a_microphone_is_listed_with_its_channels_and_rates(monkeypatch: pytest.MonkeyPatch):
    with VirtualMicrophone() as microphone:
        for name, value in microphone.environment.items():
            monkeypatch.setenv(name, value)
        found = {entry.name: entry for entry in list_inputs(timeout=PATIENCE)}
        said = devices("--json")
    entry = found[DEVICE]
    assert isinstance(entry, InputDevice)
    assert {16_000, 48_000} <= set(entry.rates)
    assert not entry.stable
    assert entry.channels >= 1
    assert (entry.opened_rate, entry.opened_channels, entry.resampler) == (48_000, 8, "soxr")
    (listed,) = [d for d in json.loads(said.stdout)["devices"] if d["name"] == DEVICE]
    assert listed["rates"] == list(entry.rates)
    assert listed["stable"] is False
    assert (listed["opened_rate"], listed["resampler"]) == (48_000, "soxr")
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.rig
def test_the_level_meter_hears_what_is_played(tmp_path: Path):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000 * 60), 16_000)
    with VirtualMicrophone() as microphone:
        microphone.play(tmp_path / "long.wav")
        said = devices("--level", "--device", DEVICE, "--seconds", "5", **microphone.environment)
    assert said.returncode == 0
    last = said.stdout.strip().splitlines()[-1]
    assert DEVICE in last
    assert "█" in last
    assert "dBFS" in last


def test_a_box_without_a_microphone_says_what_to_do(no_devices: dict[str, str]):
    said = devices("--json", **no_devices)
    assert said.returncode == 1
    assert said.stdout == ""
    assert said.stderr.startswith("asd-agent: no microphone is there.")
    assert said.stderr.count("\n") == 1


def test_a_box_without_portaudio_names_the_package(no_portaudio: dict[str, str]):
    said = devices(**no_portaudio)
    assert said.returncode == 1
    assert "PortAudio is not installed" in said.stderr
    assert "apt-get install libportaudio2" in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_device_that_is_not_there_is_named(no_devices: dict[str, str]):
    said = devices("--device", "usb-id:0d8c:0014:", **no_devices)
    assert said.returncode == 1
    assert "'usb-id:0d8c:0014:'" in said.stderr


def test_a_broken_alsa_configuration_that_kills_portaudio_is_one_line(tmp_path: Path):
    (tmp_path / "asound.conf").write_text("")
    said = devices(ALSA_CONFIG_PATH=str(tmp_path / "asound.conf"))
    assert said.returncode == 1
    assert said.stderr.count("\n") == 1


def test_json_and_a_moving_meter_do_not_go_together():
    assert devices("--json", "--level").returncode == 2


def test_a_sound_system_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sounddevice.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AudioError, match="does not answer"):
        list_inputs(timeout=1.0)


def test_a_source_says_that_portaudio_is_missing(no_portaudio: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    from asd_agent.audio.source import CaptureSource
    from asd_agent.config.sources import MicrophoneSettings
    from rigs.listening import Listener

    monkeypatch.setenv("PYTHONPATH", no_portaudio["PYTHONPATH"])
    with Listener(CaptureSource("press", MicrophoneSettings(kind="microphone", device="USB"))) as listener:
        listener.until(lambda: listener.source.attempted)
        assert "apt-get install libportaudio2" in listener.source.status.reason
