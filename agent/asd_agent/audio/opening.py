"""Rate and channels to open a microphone with, and the reason where it cannot be opened. Used in the capture child.

Hardware is opened with the channels that it has, and at 16 kHz where it gives that itself. A sound server offers every
rate and every number of channels, and converts: its resampler is of unknown quality, and fewer channels than its
microphone has would be their mean. So it is opened at a high rate, which soxr resamples, and with many channels; and
once it runs, at the very rate at which it runs the hardware, where the kernel shows that.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.errors import AudioError

Resampler = Literal["none", "soxr", "sound server"]

_HARDWARE = re.compile(r"\(hw:\d+,\d+\)")
"""In PortAudio's name of a device that ALSA opens without a plugin."""
_RATE = re.compile(r"^rate: (\d+)", re.MULTILINE)
"""In hw_params of a device that is open; that of a closed one has the one word `closed`."""
_HIGH_RATES = (48_000, 44_100, 96_000, 192_000, 32_000)
"""In order of preference: most hardware runs at 48 kHz, which is a multiple of 16 kHz; more only costs time."""
_SERVER_CHANNELS = 8
"""Channels to open a sound server with. It assigns them by position: front left is channel 0, front right channel 1,
with any number from 8 on (with PulseAudio, a microphone of 4 channels is mixed into fewer than 8)."""
_GONE = {errno.EIO, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTDOWN}
"""Errors of ALSA for a device that is listed and not there; a sound server without the microphone gives EIO."""
_BUSY = {errno.EBUSY, errno.EAGAIN}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_DEVICE_UNAVAILABLE = -9985
"""PortAudio's code for a device that ALSA reports as busy."""


@dataclass(frozen=True)
class Opening:
    """Settings that a device is opened with.

    Attributes:
        rate: In Hz.
        channels: Number of channels.
        hardware: The device is opened without a plugin or sound server between.
        native: The sound server runs its hardware at the same rate.
    """

    rate: int
    channels: int
    hardware: bool
    native: bool = False

    @property
    def resampler(self) -> Resampler:
        """Part that converts to 16 kHz: nobody, soxr in this process, or the sound server where it has to."""
        if self.rate != SAMPLE_RATE:
            return "soxr"
        return "none" if self.hardware or self.native else "sound server"


def plan_opening(portaudio: Any, place: int, wanted: tuple[int, ...], rate: int | None) -> Opening:
    """Choose the rate and the number of channels for a device.

    Args:
        portaudio: The sounddevice module.
        place: Index of the device.
        wanted: Channels that are sent, counted from 0.
        rate: Hz of the configuration; None chooses.
    """
    found = portaudio.query_devices(place)
    hardware = _HARDWARE.search(found["name"]) is not None
    offered = int(found["max_input_channels"])
    counts = [offered if hardware else min(offered, max(_SERVER_CHANNELS, *(channel + 1 for channel in wanted)))]
    counts += [count for count in (2, max(wanted) + 1) if max(wanted) < count < counts[0]]
    own = round(found["default_samplerate"])
    rates = [rate] if rate is not None else [*([SAMPLE_RATE] if hardware else []), *_HIGH_RATES, own]
    for candidate in rates:
        for count in counts:
            if takes(portaudio, place, candidate, count):
                return Opening(candidate, count, hardware)
    # None is accepted: the attempt to open it gives the reason.
    return Opening(rate or own, counts[0], hardware)


def running_rate(root: Path = Path("/")) -> int | None:
    """Return the rate in Hz at which capture hardware runs now, by the kernel; None where it is not known.

    A sound server opens its hardware when a stream is opened; several devices at different rates give no answer.

    Args:
        root: Folder that holds `proc`.
    """
    rates = set()
    for path in (root / "proc/asound").glob("card[0-9]*/pcm[0-9]*c/sub[0-9]*/hw_params"):
        try:
            found = _RATE.search(path.read_text(errors="replace"))
        except OSError:
            continue
        if found:
            rates.add(int(found[1]))
    return rates.pop() if len(rates) == 1 else None


def takes(portaudio: Any, place: int, rate: int, channels: int) -> bool:
    """Return true where a device can be opened with a rate and a number of channels."""
    try:
        portaudio.check_input_settings(device=place, channels=channels, samplerate=rate, dtype="float32")
    except (portaudio.PortAudioError, ValueError):
        return False
    return True


def opening_error(device: str, opening: Opening, error: Exception) -> AudioError:
    """Return the error for a device that could not be opened, by the reason that the system gave.

    Args:
        device: Name in the configuration.
        opening: Settings that it was tried with.
        error: PortAudio's error: its message, perhaps its code, perhaps the host's own code and message.
    """
    code = error.args[1] if len(error.args) > 1 else 0
    number = abs(int(error.args[2][1])) if len(error.args) > 2 else 0
    text = reason_of(error)
    if number in _BUSY or code == _DEVICE_UNAVAILABLE:
        return AudioError(
            f"microphone {device!r} is in use by another program: waiting for it",
            "End it, or keep the sound server off this card; `fuser -v /dev/snd/*` shows who has it.",
        )
    if number in _FORBIDDEN:
        return AudioError(
            f"microphone {device!r} may not be opened by this user ({text}): waiting for it",
            "Add the user to the group of that device: `usermod -aG audio <user>`.",
        )
    if number in _GONE:
        return AudioError(
            f"no microphone {device!r}: the system lists its name, but it is not there ({text}): waiting for it",
            "Plug it in; where a sound server provides it, `pactl list short sources` shows what that has.",
        )
    return AudioError(
        f"microphone {device!r} cannot be opened at {opening.rate} Hz with {opening.channels} channels "
        f"({text}): waiting for it",
        "`asd-agent devices` lists the rates that it takes.",
    )


def reason_of(error: Exception) -> str:
    """Return the host's message of PortAudio's error where there is one, else PortAudio's own; without codes."""
    host = str(error.args[2][2]) if len(error.args) > 2 else ""
    return host or (str(error.args[0]) if error.args else type(error).__name__)
