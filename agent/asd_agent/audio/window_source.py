"""Consecutive windows of one channel, from the running service, or from a source that this process opens itself."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asd_agent.audio.files import Signal
from asd_agent.audio.ring import Missing, Ring
from asd_agent.audio.source import CaptureSource
from asd_agent.config.sources import SourceKind
from asd_agent.control_client import SOCKET_NAME, ControlError, ControlRefusedError, ask
from asd_agent.errors import AudioError

CYCLE_SECONDS = 0.2
ASK_SECONDS = 1.0
"""Pause between two requests to the service; a window takes longer to fill."""
TIMEOUT_SECONDS = 30.0
"""A source that delivers nothing for this long is given up; the longest start seen on a slow box took half of it."""


@dataclass(frozen=True)
class SoundWindow:
    """Consecutive samples of one channel.

    Attributes:
        signal: Shape (samples,), 16 kHz.
        has_gap: A part of it was lost.
        first: Index of the first sample in its source.
    """

    signal: Signal
    has_gap: bool
    first: int


class WindowSource(Protocol):
    """Source of consecutive windows."""

    where: str
    """Name for messages."""
    skipped: list[str]
    """Recordings of the source that could not be read, or only in part, with the reason; known once it is closed."""

    def windows(self, samples: int) -> Iterator[SoundWindow]:
        """Yield one window after the other, without overlap, from now on; ends with a recording.

        Raises:
            AudioError: Nothing is delivered.
        """

    def close(self) -> None:
        """Stop."""


def open_window_source(state: Path | None, name: str, settings: SourceKind, channel: int) -> WindowSource:
    """Take windows from the running service where there is one, else from a source that this process opens.

    Args:
        state: The service's `paths.state`; None where no service is concerned.
        name: Name of the source.
        settings: Settings of the source.
        channel: Channel of the device, counted from 0.

    Raises:
        AudioError: The source does not have the channel.
        ControlRefusedError: The running service does not know the source.
    """
    if channel not in settings.channels:
        raise AudioError(f"source {name} has no channel {channel}", f"It has: {list(settings.channels)}.")
    if state is not None and settings.is_live and (state / SOCKET_NAME).exists():
        service = ServiceWindowSource(state / SOCKET_NAME, name, channel)
        if service.answers():
            return service
    return OwnWindowSource(CaptureSource(name, settings), channel)


class OwnWindowSource:
    """Windows of a source that this process opens.

    Args:
        source: The source, not started yet.
        channel: Channel of the device, counted from 0.
    """

    def __init__(self, source: CaptureSource, channel: int) -> None:
        self.where = f"source {source.name}"
        self.skipped: list[str] = []
        self._source, self._column = source, source.column(channel)
        self._pause = threading.Event()
        source.start()

    def windows(self, samples: int) -> Iterator[SoundWindow]:
        """See `WindowSource`."""
        source, first, last, delivered = self._source, 0, time.monotonic(), 0
        ring = source.ring
        while True:
            now = time.monotonic()
            source.tick(now)
            status = source.status
            if not source.settings.is_live and status.state in {"starting", "failed"} and status.reason:
                raise AudioError(status.reason)  # a microphone may come back, a recording without sound does not
            if source.counters.samples > delivered:
                delivered, last = source.counters.samples, now
            elif now - last > TIMEOUT_SECONDS:
                raise _nothing(self.where, source.status.state, source.status.reason)
            source.keep_from(first)
            if isinstance(found := _read(ring, first, samples, self._column), SoundWindow):
                first += samples
                yield found
                last += time.monotonic() - now  # the reader's own time does not count
                continue
            if found is Missing.OVERWRITTEN:
                first = ring.begin
                continue
            if source.status.state == "ended" and ring.end < first + samples:
                return
            source.wait(CYCLE_SECONDS)

    def close(self) -> None:
        """See `WindowSource`."""
        self._source.stop()
        self.skipped += [notice.text for notice in self._source.take_notices()]


class ServiceWindowSource:
    """Windows of the running service, through its control socket, so that the microphone is opened only once.

    Args:
        socket: Control socket of the service.
        name: Name of the source.
        channel: Channel of the device, counted from 0.
    """

    def __init__(self, socket: Path, name: str, channel: int) -> None:
        self.where = f"source {name} of the running service"
        self.skipped: list[str] = []
        self._socket, self._request = socket, {"command": "sound", "source": name, "channel": channel}
        self._pause = threading.Event()

    def answers(self) -> bool:
        """Return true where a service answers; one that is gone may have left its socket.

        Raises:
            ControlRefusedError: It has no such source or channel.
        """
        try:
            self._ask(None, 0)
        except ControlRefusedError:
            raise
        except ControlError:
            return False
        return True

    def windows(self, samples: int) -> Iterator[SoundWindow]:
        """See `WindowSource`."""
        first, last, delivered = self._ask(None, 0)["end"], time.monotonic(), -1
        while True:
            answer = self._ask(first, samples)
            now = time.monotonic()
            if answer["delivered"] != delivered:
                delivered, last = answer["delivered"], now
            elif now - last > TIMEOUT_SECONDS:
                raise _nothing(self.where, answer["state"], answer["reason"])
            if answer.get("samples") is not None:
                signal = np.frombuffer(base64.b64decode(answer["samples"]), dtype="<f4").astype(np.float32)
                yield SoundWindow(signal, bool(answer["has_gap"]), first)
                first += samples
                last += time.monotonic() - now
                continue
            if answer["begin"] > first:
                first = answer["begin"]
            else:
                self._pause.wait(ASK_SECONDS)

    def close(self) -> None:
        """See `WindowSource`."""
        self._pause.set()

    def _ask(self, first: int | None, count: int) -> dict[str, Any]:
        return ask(self._socket, {**self._request, "first": first, "count": count})


def answer_sound(source: CaptureSource | None, document: dict[str, Any]) -> dict[str, Any]:
    """Return the service's answer to a request for sound.

    Args:
        source: The source; None where there is none of this name.
        document: `channel`, `first` (index, or None to ask only for the range that is kept) and `count`.

    Returns:
        `begin` and `end` of the range that is kept; `delivered` (samples since the start, gaps left out), `state` and
        `reason` of the source; and `samples` (base64 of little-endian float32) with `has_gap` where all are there.

    Raises:
        ValueError: The request is not valid.
    """
    first, count, channel = (document.get(key) for key in ("first", "count", "channel"))
    if source is None:
        raise ValueError(f"there is no source {document.get('source')!r}")
    if not (isinstance(channel, int) and isinstance(count, int) and (first is None or isinstance(first, int))):
        raise ValueError("a request for sound has 'channel', 'first' and 'count'")
    if channel not in source.settings.channels:
        raise ValueError(f"source {source.name} has no channel {channel}")
    ring = source.ring
    answer: dict[str, Any] = {
        "begin": ring.begin,
        "end": ring.end,
        "delivered": source.counters.samples,
        "state": source.status.state,
        "reason": source.status.reason,
        "opened": source.opened,
        "samples": None,
    }
    if first is None or not 0 < count <= ring.capacity:
        return answer
    found = _read(ring, first, count, source.column(channel))
    if isinstance(found, SoundWindow):
        packed = base64.b64encode(found.signal.astype("<f4").tobytes()).decode()
        answer |= {"samples": packed, "has_gap": found.has_gap}
    return answer


def _nothing(where: str, state: str, reason: str) -> AudioError:
    text = f"{where} delivers nothing: it is {state}" + (f", {reason}" if reason else "")
    return AudioError(text, "See `asd-agent devices` and `asd-agent doctor`.")


def _read(ring: Ring, first: int, count: int, column: int) -> SoundWindow | Missing:
    stretch = ring.read(first, count)
    if isinstance(stretch, Missing):
        return stretch
    return SoundWindow(stretch.samples[:, column].copy(), stretch.has_gap, first)
