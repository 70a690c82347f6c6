"""Received messages on their way from the publisher's thread to the service's."""

from __future__ import annotations

import threading
from collections import deque

from asd_agent.mqtt.connection import Received


class Inbox:
    """A bounded queue of received messages; every method may be called from any thread.

    Args:
        limit: Messages that may wait.
        keep_newest: Whether a full inbox drops the oldest message that waits, instead of the one that arrives.
    """

    def __init__(self, limit: int, *, keep_newest: bool = False) -> None:
        self._limit, self._keep_newest = limit, keep_newest
        self._lock = threading.Lock()
        self._waiting: deque[Received] = deque()
        self._dropped = 0

    def put(self, message: Received) -> None:
        """Add a message, or drop and count one where the inbox is full."""
        with self._lock:
            if len(self._waiting) == self._limit:
                self._dropped += 1
                if not self._keep_newest:
                    return
                self._waiting.popleft()
            self._waiting.append(message)

    def take(self) -> tuple[list[Received], int]:
        """Return and remove the waiting messages, oldest first, and the number dropped since the last call."""
        with self._lock:
            taken, dropped = list(self._waiting), self._dropped
            self._waiting.clear()
            self._dropped = 0
        return taken, dropped
