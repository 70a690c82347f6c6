"""List of microphones, read by a child process so that PortAudio looks afresh and may hang without harm."""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from asd_agent.audio.process import end, exit_reason, read_packets, spawn
from asd_agent.audio.protocol import ChildNotice, PacketError
from asd_agent.errors import AudioError

_TIMEOUT_SECONDS = 20.0
"""PortAudio takes seconds to start on a slow box; beyond this it hangs."""


@dataclass(frozen=True)
class InputDevice:
    """Device that can record.

    Attributes:
        name: Stable name to give as `device`.
        aliases: Other names that mean it, PortAudio's own last.
        portaudio: PortAudio's name.
        channels: Channels that it has.
        rate: Its own rate in Hz.
        rates: Common rates that it takes; empty when they were not probed or it is in use.
        opened_rate: Rate in Hz at which a source without a `rate` opens it; None where it cannot be opened now.
        opened_channels: Number of channels that it is opened with; None likewise.
        resampler: Part that converts to 16 kHz: `none`, `soxr` or `sound server`; None likewise.
    """

    name: str
    aliases: tuple[str, ...]
    portaudio: str
    channels: int
    rate: int
    rates: tuple[int, ...]
    opened_rate: int | None = None
    opened_channels: int | None = None
    resampler: str | None = None

    @property
    def stable(self) -> bool:
        """True where the name is tied to hardware and not to an order of discovery."""
        return self.name.startswith(("usb-path:", "usb-id:", "hw:CARD="))


def list_inputs(*, probe_rates: bool = True, timeout: float = _TIMEOUT_SECONDS) -> list[InputDevice]:
    """Return the devices that can record, those with a stable name first.

    Args:
        probe_rates: Also probe each device for the common rates.
        timeout: Seconds after which the sound system counts as hanging.

    Raises:
        AudioError: PortAudio is missing, or hangs.
    """
    child = spawn({"list": {"probe_rates": probe_rates}})
    try:
        notices = _notices(child, time.monotonic() + timeout)
    finally:
        end(child)
    inputs: list[InputDevice] | None = None
    for notice in notices:
        if notice.kind == "error":
            raise AudioError(notice.detail["what"], notice.detail["remedy"])
        if notice.kind == "inputs":
            inputs = [_device(entry) for entry in notice.detail["inputs"]]
    if inputs is None:
        raise AudioError(
            f"PortAudio cannot list the microphones: {exit_reason(child)}",
            "Its ALSA configuration may be broken; `arecord -L` reads the same one.",
        )
    return sorted(inputs, key=lambda found: not found.stable)


def _notices(child: subprocess.Popen[bytes], deadline: float) -> list[ChildNotice]:
    notices: list[ChildNotice] = []
    with contextlib.suppress(PacketError):
        for packet in read_packets(child, timeout=0.1):
            if isinstance(packet, ChildNotice):
                notices.append(packet)
            if time.monotonic() > deadline:
                raise AudioError("the sound system does not answer", "Unplug the microphones, or restart the machine.")
    return notices


def _device(entry: dict[str, Any]) -> InputDevice:
    return InputDevice(**{**entry, "aliases": tuple(entry["aliases"]), "rates": tuple(entry["rates"])})
