"""Log lines: as the journal wants them under systemd, with a time where a person looks, and never a flood."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import TextIO

WINDOW_SECONDS = 60.0
SAME_TEXT = 5
"""So often may one text be said in a window."""
SAME_PLACE = 30
"""So many lines may one place in the code say in a window, whatever their texts."""
_REMEMBERED = 1000

_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""syslog(3) levels, which `<N>` before a line tells the journal (sd-daemon(3))."""


class JournalFormatter(logging.Formatter):
    """Every line with its level as `<N>`; the journal adds the time and reads the level."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines."""
        level = next((p for floor, p in _PRIORITY.items() if record.levelno >= floor), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


class RepeatLimit(logging.Filter):
    """Lets what is said again and again through a few times a minute, and tells how much it held back.

    What is held back is counted and told with the next line of its kind that passes.

    Args:
        monotonic: Seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._allowances: dict[tuple[object, ...], _Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is said; the last one before silence and the first one after it tell of it."""
        now, text = self._monotonic(), record.getMessage()
        place = (record.name, record.lineno)
        allowances = [self._allowance((*place, text), SAME_TEXT, now), self._allowance(place, SAME_PLACE, now)]
        if any(a.left == 0 for a in allowances):
            # Told where it will be asked for: the same text comes again, or only the place speaks again.
            next(a for a in allowances if a.left == 0).held_back += 1
            return False
        told = [f"{a.take_held_back()} like it were not logged" for a in allowances if a.held_back]
        for allowance in allowances:
            allowance.left -= 1
        if any(a.left == 0 for a in allowances):
            told.append("more like it within a minute are not")
        if told:
            record.msg, record.args = f"{text} ({'; '.join(told)})", ()
        return True

    def _allowance(self, key: tuple[object, ...], lines: int, now: float) -> _Allowance:
        allowance = self._allowances.pop(key, None) or _Allowance(now, lines)
        if now - allowance.since >= WINDOW_SECONDS:
            allowance.since, allowance.left = now, lines
        self._allowances[key] = allowance  # the newest last; the longest unheard is forgotten first
        if len(self._allowances) > _REMEMBERED:
            del self._allowances[next(iter(self._allowances))]
        return allowance


class _Allowance:
    """How many lines of a kind may be said yet, and how many were held back."""

    def __init__(self, since: float, left: int) -> None:
        self.since, self.left, self.held_back = since, left, 0

    def take_held_back(self) -> int:
        held_back, self.held_back = self.held_back, 0
        return held_back


def to_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream goes to the journal: systemd names its device and inode in JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def formatter(stream: TextIO, environment: Mapping[str, str] = os.environ) -> logging.Formatter:
    """The form of a line on this stream: a person's terminal, the journal, or a file."""
    if to_journal(stream, environment):
        return JournalFormatter("%(message)s")
    times = "%(asctime)s " if stream.isatty() else ""
    return logging.Formatter(f"{times}%(levelname)s %(message)s")
