"""Messages of one target that wait, read from the outbox behind the target's own cursor."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.outbox.schema import OutboxRow
from asd_agent.outbox.store import Outbox

BATCH_ROWS = 200
MOVE_ROWS = 200
"""Rows that are not wanted after which the cursor is stored all the same, so that the outbox need not keep them."""
MOST_AHEAD = 2000
"""Messages that may be sent before an older one that waits for the end of quiet hours."""
KNOWN_IDS = 2000
"""Ids of rows from memory that are remembered; the outbox keeps fewer there."""


@dataclass(frozen=True)
class WaitingMessage:
    """A row that a target wants, with its payload."""

    row: OutboxRow
    document: Mapping[str, Any]


class NotifyQueue:
    """A bounded queue over a cursor of the outbox; its methods belong to one thread.

    Messages may leave it out of order, since severe ones do not wait for the end of quiet hours.

    Args:
        reader: Name of the cursor.
        wants: Whether the target wants a payload.
        outbox: The outbox.
        limit: Messages that may wait; beyond, the oldest are dropped.
    """

    def __init__(self, reader: str, wants: Callable[[Mapping[str, Any]], bool], outbox: Outbox, limit: int) -> None:
        self._reader, self._wants, self._outbox, self._limit = reader, wants, outbox, limit
        self._waiting: list[WaitingMessage] = []
        self._key, ahead = outbox.cursor(reader)
        self._ahead = set(ahead)
        self._read_to = self._key
        self._known: deque[str] = deque(maxlen=KNOWN_IDS)

    def __len__(self) -> int:
        return len(self._waiting)

    def first(self, allowed: Callable[[Mapping[str, Any]], bool]) -> WaitingMessage | None:
        """Return the oldest message that may be sent now."""
        return next((w for w in self._waiting if allowed(w.document)), None)

    def fill(self) -> int:
        """Read what the outbox has received since the last call; return how many messages were dropped."""
        dropped = 0
        while True:
            rows = self._outbox.rows_after(self._read_to, BATCH_ROWS)
            for row in rows:
                self._read_to = max(self._read_to, row.key or 0)
                self._add(row)
            dropped += self._trim()
            if len(rows) < BATCH_ROWS:
                break
        for row in self._outbox.unstored():
            if row.message.id not in self._known:
                self._add(row)
                self._known.append(row.message.id)
        dropped += self._trim()
        if dropped or self._behind() - self._key >= MOVE_ROWS:
            self._store()
        return dropped

    def done(self, message: WaitingMessage) -> None:
        """Remove a message: the target has it."""
        self._waiting.remove(message)
        if message.row.key is not None:
            self._ahead.add(message.row.key)
        self._store()

    def _add(self, row: OutboxRow) -> None:
        if row.key in self._ahead or (row.key is not None and row.message.id in self._known):
            return  # sent before, or read from memory before the disk took it
        try:
            document = json.loads(row.message.payload)
        except ValueError:
            return
        if isinstance(document, dict) and self._wants(document):
            self._waiting.append(WaitingMessage(row, document))

    def _trim(self) -> int:
        # A message that waits for the morning must not keep thousands of later rows in the outbox.
        dropped = max(0, len(self._waiting) - self._limit, min(len(self._waiting), len(self._ahead) - MOST_AHEAD))
        del self._waiting[:dropped]
        return dropped

    def _behind(self) -> int:
        """Return the key up to which nothing waits."""
        first = min((w.row.key for w in self._waiting if w.row.key is not None), default=None)
        return self._read_to if first is None else first - 1

    def _store(self) -> None:
        self._key = max(self._key, self._behind())
        self._ahead = {key for key in self._ahead if key > self._key}
        self._outbox.move_cursor(self._reader, self._key, self._ahead)
