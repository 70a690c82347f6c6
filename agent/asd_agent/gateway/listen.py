"""Live sound of one channel: a stream of short pieces, read from the service at a bounded pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.config.model import Config
from asd_agent.control_client import ask
from asd_agent.errors import AsdError
from asd_agent.gateway.fields import name_field

PIECE_SECONDS = 0.5
PIECE_SAMPLES = round(PIECE_SECONDS * SAMPLE_RATE)
PAUSE_SECONDS = 0.4
"""Time after a piece: a little shorter than it, so that a reader who is behind catches up."""
WAIT_SECONDS = 0.15
"""Time between two looks for a piece that is not recorded yet."""
BEHIND_SAMPLES = 2 * SAMPLE_RATE
"""A reader who is further behind goes on at the newest sound; a file may be played faster than it was recorded."""
SIGN_SECONDS = 1.0
"""Time between two documents of a source that delivers nothing."""
LISTEN_SECONDS = 1800.0
"""Longest stream: a reader who was forgotten ends by itself."""
MOST_STREAMS = 4
"""Streams at a time. The page opens one for each channel that is listened to, whatever the number of listeners."""


class LiveSound:
    """Reads sound for the page, so that the service answers a few requests a second and no more.

    Args:
        config: The configuration.
        socket: Control socket of the service.
    """

    def __init__(self, config: Config, socket: Path) -> None:
        self._config, self._socket = config, socket
        self._places = threading.BoundedSemaphore(MOST_STREAMS)

    def listen(self, document: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Return the stream of a monitor's channel, from now on.

        Each document has `state` and `reason` of the source, `samples` (base64 of little-endian float32 at 16 kHz, or
        null while nothing is delivered), `has_gap`, and `jumped`: sound before this piece was left out.

        Raises:
            ValueError: There is no such monitor.
        """
        name = name_field(document, "monitor")
        settings = self._config.monitors.get(name)
        if settings is None:
            raise ValueError(f"there is no monitor {name!r}")
        return self._stream({"command": "sound", "source": settings.source, "channel": settings.channel})

    def _stream(self, request: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        if not self._places.acquire(blocking=False):
            raise AsdError(f"{MOST_STREAMS} machines are listened to already", "Try again when one of them is free.")
        try:
            yield from self._pieces(request)
        finally:
            self._places.release()

    def _pieces(self, request: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        until, pause = time.monotonic() + LISTEN_SECONDS, threading.Event()
        first, jumped = max(0, int(ask(self._socket, {**request, "first": None, "count": 0})["end"])), False
        sent = float("-inf")
        while (now := time.monotonic()) < until:
            answer = ask(self._socket, {**request, "first": first, "count": PIECE_SAMPLES})
            samples, newest = answer["samples"], int(answer["end"])
            if samples is not None or now - sent >= SIGN_SECONDS:
                sent = now
                yield {
                    "state": answer["state"],
                    "reason": answer["reason"],
                    "samples": samples,
                    "has_gap": bool(answer.get("has_gap")),
                    "jumped": jumped and samples is not None,
                }
            if samples is not None:
                first, jumped = first + PIECE_SAMPLES, False
            # A source that was opened anew counts from 0 again; `newest` is then far below.
            if not first - BEHIND_SAMPLES <= newest <= first + BEHIND_SAMPLES:
                first, jumped = max(0, newest - PIECE_SAMPLES), True
            pause.wait(PAUSE_SECONDS if samples is not None else WAIT_SECONDS)
