"""Which microphones there are, asked of a child so that PortAudio looks afresh and may hang without harm."""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from asd_agent.audio.process import end, exit_reason, frames, spawn
from asd_agent.audio.protocol import FrameError, Notice
from asd_agent.errors import AudioError

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Input:
    """A device that can record.

    Attributes:
        name: The stable name to give as `device`.
        aliases: Other names that mean it, PortAudio's own last.
        portaudio: PortAudio's name.
        channels: Channels that it has.
        rate: Its own rate in Hz.
        rates: The common rates that it takes; empty when it was not asked or is in use.
    """

    name: str
    aliases: tuple[str, ...]
    portaudio: str
    channels: int
    rate: int
    rates: tuple[int, ...]

    @property
    def stable(self) -> bool:
        """Whether the name is tied to hardware and not to an order of discovery."""
        return self.name.startswith(("usb-path:", "usb-id:", "hw:CARD="))


def list_inputs(*, probe_rates: bool = True, timeout: float = _TIMEOUT_SECONDS) -> list[Input]:
    """The devices that can record, those with a stable name first.

    Args:
        probe_rates: Also ask each device which of the common rates it takes.
        timeout: Seconds after which the sound system is said to hang.

    Raises:
        AudioError: PortAudio is missing, or hangs.
    """
    child = spawn({"list": {"probe_rates": probe_rates}})
    try:
        said = _answer(child, time.monotonic() + timeout)
    finally:
        end(child)
    inputs: list[Input] | None = None
    for notice in said:
        if notice.kind == "error":
            raise AudioError(notice.detail["what"], notice.detail["remedy"])
        if notice.kind == "inputs":
            inputs = [_input(entry) for entry in notice.detail["inputs"]]
    if inputs is None:
        raise AudioError(
            f"PortAudio cannot list the microphones: {exit_reason(child)}",
            "Its ALSA configuration may be broken; `arecord -L` reads the same one.",
        )
    return sorted(inputs, key=lambda found: not found.stable)


def _answer(child: subprocess.Popen[bytes], deadline: float) -> list[Notice]:
    said: list[Notice] = []
    with contextlib.suppress(FrameError):
        for frame in frames(child, patience=0.1):
            if isinstance(frame, Notice):
                said.append(frame)
            if time.monotonic() > deadline:
                raise AudioError("the sound system does not answer", "Unplug the microphones, or restart the machine.")
    return said


def _input(entry: dict[str, Any]) -> Input:
    return Input(**{**entry, "aliases": tuple(entry["aliases"]), "rates": tuple(entry["rates"])})
