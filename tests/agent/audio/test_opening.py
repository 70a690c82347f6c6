"""Rate and channels that a microphone is opened with, and who resamples: through a sound server, and on hardware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent.audio.files import Signal
from asd_agent.audio.opening import Opening, opening_error, plan_opening, running_rate
from asd_agent.audio.source import CaptureSource
from asd_agent.audio.source_state import SourceTimeouts
from asd_agent.config.sources import MicrophoneSettings
from rigs.listening import Listener
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.waiting import PATIENCE

UNHURRIED = SourceTimeouts(stall=PATIENCE, first_sample=PATIENCE, at_boot=PATIENCE)
LEFT_HZ, RIGHT_HZ = 400, 700


class DeviceError(Exception):
    """As PortAudio raises it: a message, a code, and the host's own error."""


class Device:
    """PortAudio's answers about one device, as its ALSA part gives them."""

    PortAudioError = DeviceError

    def __init__(self, name: str, rates: set[int], counts: set[int], default: int = 44_100) -> None:
        self._rates, self._counts = rates, counts
        self.found = {"name": name, "max_input_channels": max(counts), "default_samplerate": float(default)}

    def query_devices(self, place: int) -> dict[str, Any]:
        return self.found

    def check_input_settings(self, *, device: int, channels: int, samplerate: int, dtype: str) -> None:
        if samplerate not in self._rates:
            raise DeviceError("Invalid sample rate", -9997)
        if channels not in self._counts:
            raise DeviceError("Invalid number of channels", -9998)


ANY = set(range(1, 33))
RATES = {8000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000}


@pytest.mark.parametrize(
    ("device", "wanted", "opening"),
    [
        # The hardware gives 16 kHz: nobody resamples, and both channels are read although one is wanted.
        (Device("USB: Audio (hw:1,0)", {16_000, 48_000}, {2}), None, Opening(16_000, 2, hardware=True)),
        (Device("USB: Audio (hw:1,0)", {44_100, 48_000}, {1}), None, Opening(48_000, 1, hardware=True)),
        (Device("USB: Audio (hw:1,0)", {44_100}, {1, 2}), None, Opening(44_100, 2, hardware=True)),
        (Device("USB: Audio (hw:1,0)", {22_050}, {1}, default=22_050), None, Opening(22_050, 1, hardware=True)),
        (Device("USB: Audio (hw:1,0)", {16_000, 48_000}, {18}), 48_000, Opening(48_000, 18, hardware=True)),
        # A sound server offers every rate and number of channels, whatever its microphone has.
        (Device("pulse", RATES, ANY), None, Opening(48_000, 8, hardware=False)),
        (Device("pulse", RATES, ANY), 16_000, Opening(16_000, 8, hardware=False)),
        (Device("dsnoop", {44_100}, {2}), None, Opening(44_100, 2, hardware=False)),
    ],
)
def test_the_device_is_opened_as_it_is(device: Device, wanted: int | None, opening: Opening):
    assert plan_opening(device, 0, (0,), wanted) == opening


def test_who_resamples_is_named():
    assert Opening(16_000, 1, hardware=True).resampler == "none"
    assert Opening(48_000, 1, hardware=True).resampler == "soxr"
    assert Opening(48_000, 8, hardware=False).resampler == "soxr"
    assert Opening(16_000, 8, hardware=False).resampler == "sound server"
    assert Opening(16_000, 8, hardware=False, native=True).resampler == "none"


@pytest.mark.parametrize(
    ("open_at", "rate"),
    [
        ({}, None),
        ({"card0": 16_000}, 16_000),
        ({"card0": 48_000, "card1": 48_000}, 48_000),
        ({"a": 16_000, "b": 48_000}, None),
    ],
)
def test_the_rate_at_which_a_sound_server_runs_its_hardware_is_read_from_the_kernel(
    tmp_path: Path, open_at: dict[str, int], rate: int | None
):
    (tmp_path / "proc/asound/card9/pcm0c/sub0").mkdir(parents=True)
    (tmp_path / "proc/asound/card9/pcm0c/sub0/hw_params").write_text("closed\n")
    (tmp_path / "proc/asound/card9/pcm0p/sub0").mkdir(parents=True)
    (tmp_path / "proc/asound/card9/pcm0p/sub0/hw_params").write_text("rate: 96000 (96000/1)\n")  # it plays
    for number, hz in enumerate(open_at.values()):
        folder = tmp_path / f"proc/asound/card{number}/pcm0c/sub0"
        folder.mkdir(parents=True)
        (folder / "hw_params").write_text(
            f"access: MMAP_INTERLEAVED\nformat: S16_LE\nsubformat: STD\nchannels: 2\nrate: {hz} ({hz}/1)\n"
        )
    assert running_rate(tmp_path) == rate


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (DeviceError("x", -9999, (0, -5, "Input/output error")), "no microphone 'mic'", "Plug it in"),
        (DeviceError("x", -9999, (0, -2, "No such file or directory")), "no microphone 'mic'", "Plug it in"),
        (DeviceError("x", -9999, (0, -111, "Connection refused")), "no microphone 'mic'", "Plug it in"),
        (DeviceError("x", -9985, (0, -16, "Device or resource busy")), "in use by another program", "End it"),
        (DeviceError("Device unavailable", -9985), "in use by another program", "End it"),
        (DeviceError("x", -9999, (0, -13, "Permission denied")), "may not be opened by this user", "audio"),
        (DeviceError("Invalid sample rate", -9997), "cannot be opened at 48000 Hz", "asd-agent devices"),
    ],
)
def test_a_device_that_cannot_be_opened_has_its_own_reason(error: DeviceError, what: str, remedy: str):
    found = opening_error("mic", Opening(48_000, 8, hardware=False), error)
    assert what in found.what
    assert found.what.endswith("waiting for it")
    assert remedy in found.remedy


@contextmanager
def stereo(monkeypatch: pytest.MonkeyPatch, folder: Path, left: float, right: float) -> Iterator[VirtualMicrophone]:
    """A stereo microphone at 48 kHz with a tone in each channel, of these amplitudes."""
    t = np.arange(48_000 * 60) / 48_000
    sound = np.stack([left * np.sin(2 * np.pi * LEFT_HZ * t), right * np.sin(2 * np.pi * RIGHT_HZ * t)], axis=1)
    soundfile.write(folder / "stereo.wav", sound, 48_000)
    with VirtualMicrophone(48_000, 2) as microphone:
        for name, value in microphone.environment.items():
            monkeypatch.setenv(name, value)
        player = microphone.play(folder / "stereo.wav")
        try:
            yield microphone
        finally:
            player.kill()


def record(channels: tuple[int, ...], **settings: Any) -> tuple[Signal, dict[str, Any]]:
    """A second of each channel once the tone is there, and what was opened."""
    source = CaptureSource(
        "mic", MicrophoneSettings(kind="microphone", device=DEVICE, channels=channels, **settings), timeouts=UNHURRIED
    )
    with Listener(source) as listener:
        listener.state("healthy")
        listener.more(2.0)
        end = source.ring.end
        return source.ring.read(end - 16_000, 16_000).samples, source.opened


def amplitude(samples: Signal, hz: int) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))[hz] / len(samples) * 4)


@pytest.mark.rig
@pytest.mark.parametrize("channels", [(0,), (1,), (0, 1), (1, 0)])
def test_each_channel_of_a_stereo_device_is_its_own(
    channels: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    with stereo(monkeypatch, tmp_path, left=0.3, right=0.2):
        samples, opened = record(channels)
    for column, channel in enumerate(channels):
        own, other = (LEFT_HZ, RIGHT_HZ) if channel == 0 else (RIGHT_HZ, LEFT_HZ)
        assert amplitude(samples[:, column], own) == pytest.approx((0.3, 0.2)[channel], rel=0.02)
        assert amplitude(samples[:, column], other) < 1e-3
    assert opened["channels"] == list(channels)
    assert opened["opened_channels"] >= 2


@pytest.mark.rig
def test_through_a_sound_server_soxr_resamples_and_not_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with stereo(monkeypatch, tmp_path, left=0.3, right=0.0):
        _, opened = record((0,))
        _, at_16 = record((0,), rate=16_000)
    assert (opened["rate"], opened["resampler"]) == (48_000, "soxr")
    assert (at_16["rate"], at_16["resampler"]) == (16_000, "sound server")


@pytest.mark.rig
def test_a_microphone_that_a_sound_server_has_no_more_is_reported_missing(monkeypatch: pytest.MonkeyPatch):
    with VirtualMicrophone() as microphone:
        for name, value in microphone.environment.items():
            monkeypatch.setenv(name, value)
        microphone.unplug()
        source = CaptureSource("mic", MicrophoneSettings(kind="microphone", device=DEVICE), timeouts=UNHURRIED)
        with Listener(source) as listener:
            listener.until(lambda: source.attempted)
            assert source.status.reason.startswith(f"no microphone {DEVICE!r}")
            assert "in use" not in source.status.reason
