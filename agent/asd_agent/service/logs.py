"""Log lines: with their level for the journal, with a time on a terminal, and limited in number."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TextIO

WINDOW_SECONDS = 60.0
SAME_TEXT = 5
"""Lines of one text in a window: enough to see that a fault repeats."""
SAME_PLACE = 30
"""Lines of one place in the code in a window, whatever their texts: one fault of every source and monitor of a box."""
_REMEMBERED = 1000
"""Texts whose counts are kept; it bounds memory."""

RECENT_LINES = 500
LONGEST_LINE = 1000
"""Characters of a kept line; with `RECENT_LINES` it bounds the memory."""

_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""syslog(3) levels, which the journal reads from `<N>` before a line (sd-daemon(3))."""


class JournalFormatter(logging.Formatter):
    """Formats every line with its level as `<N>`; the journal adds the time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        level = next((p for floor, p in _PRIORITY.items() if record.levelno >= floor), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


class RepeatLimit(logging.Filter):
    """Drops repeated lines beyond a few a minute; the next line of the kind that passes states how many.

    Args:
        monotonic: Returns monotonic seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._allowances: dict[tuple[object, ...], _Allowance] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged; the lines around a pause mention it."""
        with self._lock:  # every thread of the service logs through it
            return self._passes(record)

    def _passes(self, record: logging.LogRecord) -> bool:
        now, text = self._monotonic(), record.getMessage()
        place = (record.name, record.lineno)
        allowances = [self._allowance((*place, text), SAME_TEXT, now), self._allowance(place, SAME_PLACE, now)]
        if any(a.left == 0 for a in allowances):
            # Counted for the kind that the next line belongs to: the same text, or only the same place.
            next(a for a in allowances if a.left == 0).held_back += 1
            return False
        notes = [f"{a.take_held_back()} like it were not logged" for a in allowances if a.held_back]
        for allowance in allowances:
            allowance.left -= 1
        if any(a.left == 0 for a in allowances):
            notes.append("more like it within a minute are not")
        if notes:
            record.msg, record.args = f"{text} ({'; '.join(notes)})", ()
        return True

    def _allowance(self, key: tuple[object, ...], lines: int, now: float) -> _Allowance:
        allowance = self._allowances.pop(key, None) or _Allowance(now, lines)
        if now - allowance.since >= WINDOW_SECONDS:
            allowance.since, allowance.left = now, lines
        self._allowances[key] = allowance  # the newest last; the longest unheard is forgotten first
        if len(self._allowances) > _REMEMBERED:
            del self._allowances[next(iter(self._allowances))]
        return allowance


class RecentLines(logging.Handler):
    """Keeps the newest log lines in memory, for the page.

    Args:
        lines: Number of lines that are kept.
    """

    def __init__(self, lines: int = RECENT_LINES) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[dict[str, object]] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        try:
            text = record.getMessage()[:LONGEST_LINE]
        except Exception:  # noqa: BLE001 - a line with wrong arguments must not end what it was logged from
            text = str(record.msg)[:LONGEST_LINE]
        self._lines.append({"utc": round(record.created, 3), "level": record.levelname.lower(), "text": text})

    def newest(self) -> list[dict[str, object]]:
        """Return the lines, the oldest first; each has `utc` in seconds, `level` and `text`."""
        return list(self._lines)


class _Allowance:
    """Number of lines of a kind that may still be logged, and number dropped."""

    def __init__(self, since: float, left: int) -> None:
        self.since, self.left, self.held_back = since, left, 0

    def take_held_back(self) -> int:
        held_back, self.held_back = self.held_back, 0
        return held_back


def to_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream goes to the journal: systemd names its device and inode in JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def formatter(stream: TextIO, environment: Mapping[str, str] = os.environ) -> logging.Formatter:
    """Return the formatter for a stream: a terminal, the journal, or a file."""
    if to_journal(stream, environment):
        return JournalFormatter("%(message)s")
    times = "%(asctime)s " if stream.isatty() else ""
    return logging.Formatter(f"{times}%(levelname)s %(message)s")
