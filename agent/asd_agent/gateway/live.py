"""States of the service, asked for once for all readers, and only while there is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from asd_agent.control_client import ControlError, ask
from asd_agent.gateway import HEARTBEAT_SECONDS, UPDATE_SECONDS


class LiveStates:
    """Newest status document of the service.

    Args:
        socket: Control socket of the service.
        every: Seconds for which a document is new enough.
    """

    def __init__(self, socket: Path, every: float = UPDATE_SECONDS) -> None:
        self._socket, self._every = socket, every
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._document: dict[str, Any] = {}

    def newest(self) -> dict[str, Any]:
        """Return the status document; `running` is false, with a `reason`, where the service does not answer."""
        with self._lock:  # several readers cost the service one request
            if time.monotonic() - self._asked >= self._every:
                try:
                    self._document = {"running": True, **ask(self._socket, {"command": "status"})}
                except ControlError as error:
                    self._document = {"running": False, "reason": str(error)}
                self._asked = time.monotonic()
            return self._document

    def follow(self, seconds: float) -> Generator[dict[str, Any], None, None]:
        """Yield the document whenever a state changes, and as a heartbeat, for so many seconds at the most."""
        until, before, sent = time.monotonic() + seconds, None, float("-inf")
        pause = threading.Event()
        while (now := time.monotonic()) < until:
            document = self.newest()
            mark = _mark(document)
            if mark != before or now - sent >= HEARTBEAT_SECONDS:
                before, sent = mark, now
                yield document
            pause.wait(self._every)


def _mark(document: dict[str, Any]) -> list[Any]:
    """Return what must differ for an update to be worth sending: states, scores and faults, not the counters."""
    health = document.get("health", {})
    monitors = [
        [name, m.get("state"), m.get("seq"), m.get("window_end"), m.get("evidence_id")]
        for name, m in document.get("monitors", {}).items()
    ]
    sources = [[name, s.get("state")] for name, s in health.get("sources", {}).items()]
    connected = health.get("delivery", {}).get("connected")
    return [document.get("running"), monitors, sources, health.get("faults"), connected]
