"""The thread that writes the history: batches of about a minute, sooner when an alarm changes.

The service hands over windows and events and never waits. What cannot be stored is counted and reported; alarms, MQTT
and scores do not depend on it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.alarm import ScoredWindow
from asd_agent.alarm.rate import Promise
from asd_agent.clock import Clock
from asd_agent.history.reader import open_history
from asd_agent.history.schema import HistoryError
from asd_agent.history.store import AlarmRow, Batch, EventRow, HistoryStore, Limits
from asd_agent.work_timer import WorkTimer

log = logging.getLogger(__name__)

COMMIT_SECONDS = 60.0
"""Time between commits without alarms: spares flash, and a kill costs at most this much of the past."""
WAITING_ITEMS = 20_000
"""Windows and events that wait for the disk, at the most: an hour and a half of 16 monitors at a hop of 5 s."""
RETRY_SECONDS = 60.0
DRIFT_SECONDS = 3600.0
"""Time between looks for trends, which change by the day."""
LEVEL_SECONDS = 900.0
"""Time between looks at levels: sound unlike the training shows in ten minutes."""
DAMAGED_KEPT = 1
"""Damaged databases that are set aside: the newest, for a person to look at."""


@dataclass(frozen=True)
class HistoryStats:
    """State of the writing of the history.

    Attributes:
        bytes: Size of the database in use.
        waiting: Windows and events that are not stored yet.
        lost: Those that were dropped since the start.
        commits: Commits since the start.
        fault: Why nothing can be stored, with the remedy; empty while all is well.
        drift: Slow trends in words, by monitor.
        levels: Notes on raise levels in words, by monitor.
    """

    bytes: int = 0
    waiting: int = 0
    lost: int = 0
    commits: int = 0
    fault: str = ""
    drift: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)


class HistoryWriter:
    """Writes one history from a thread of its own.

    Args:
        path: The database.
        limits: Bounds on what is kept.
        clock: The box's clocks.
        commit_seconds: Time between commits without alarms.
        retry_seconds: Time between attempts while the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits,
        clock: Clock,
        commit_seconds: float = COMMIT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._path, self._limits, self._clock = path, limits, clock
        self._every, self._retry = commit_seconds, retry_seconds
        self._windows: deque[tuple[str, ScoredWindow]] = deque()
        self._rows: deque[AlarmRow | EventRow] = deque()
        self._lost = self._commits = self._bytes = 0
        self._fault = ""
        self._timer = WorkTimer(clock)
        self._drift: dict[str, str] = {}
        self._drift_asked: float | None = None
        self._promises: Mapping[str, Promise] = {}
        self._levels: dict[str, str] = {}
        self._levels_asked: float | None = None
        self._store: HistoryStore | None = None
        self._due = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Store what waits and end the thread; return whether it ended in time."""
        self._ending = True
        self._due.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def add_window(self, monitor: str, window: ScoredWindow) -> None:
        """Hand over a judged window; it is stored with the next commit."""
        self._windows.append((monitor, window))
        if len(self._windows) > WAITING_ITEMS:
            self._windows.popleft()
            self._lost += 1

    def add_rows(self, *rows: AlarmRow | EventRow) -> None:
        """Hand over alarms and events; they are stored at once."""
        self._rows.extend(rows)
        while len(self._rows) > WAITING_ITEMS:
            self._rows.popleft()
            self._lost += 1
        self._due.set()

    def check_levels(self, promises: Mapping[str, Promise]) -> None:
        """Check the raise levels of these monitors against what is stored, from now on."""
        self._promises, self._levels_asked = dict(promises), None

    @property
    def stats(self) -> HistoryStats:
        """State of the writing; may be read from any thread."""
        waiting = len(self._windows) + len(self._rows)
        fault = self._fault or self._timer.complaint
        return HistoryStats(self._bytes, waiting, self._lost, self._commits, fault, self._drift, self._levels)

    def _run(self) -> None:
        try:
            self._open()  # at once: a fault of the file is known before the first alarm needs it
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
        while not self._ending:
            self._due.wait(self._every)
            self._due.clear()
            with self._timer.work():
                self._commit()
            if self._fault and not self._ending:
                # A full or damaged disk is not asked again for every event.
                self._due.wait(self._retry)
        self._commit()
        if self._store is not None:
            self._store.close()

    def _commit(self) -> None:
        """Store what waits; what cannot be stored waits on."""
        windows, rows = list(self._windows), list(self._rows)
        if not windows and not rows:
            return
        batch = Batch(
            windows,
            [r for r in rows if isinstance(r, AlarmRow)],
            [r for r in rows if isinstance(r, EventRow)],
        )
        try:
            if self._store is None or not self._path.exists():
                self._open()
            assert self._store is not None
            self._store.commit(batch, self._clock.utc())
            self._bytes = self._store.bytes
            self._look_for_drift()
            self._review_levels()
        except (sqlite3.Error, OSError, HistoryError) as error:
            self._failed(error)
            return
        except Exception as error:
            # A fault of the code must not end the thread, which nothing else would notice; what caused it is dropped.
            log.exception("history: a batch of %d windows cannot be stored and is dropped", len(windows))
            self._fault = f"{type(error).__name__}: {error}"
            self._lost += len(windows) + len(rows)
        else:
            self._commits += 1
            if self._fault:
                log.info("history: %s is written again", self._path)
            self._fault = ""
        for queue, taken in ((self._windows, windows), (self._rows, rows)):
            for _ in range(min(len(taken), len(queue))):
                queue.popleft()

    def _look_for_drift(self) -> None:
        """Ask for trends once an hour, on this thread and not on the service's."""
        now = self._clock.monotonic()
        if not self._limits.drift or (self._drift_asked is not None and now - self._drift_asked < DRIFT_SECONDS):
            return
        self._drift_asked = now
        with open_history(self._path) as history:
            trends = {name: history.trend(name, self._clock.utc()) for name in history.monitors()}
        self._drift = {name: trend.text for name, trend in trends.items() if trend is not None}

    def _review_levels(self) -> None:
        now = self._clock.monotonic()
        if self._levels_asked is not None and now - self._levels_asked < LEVEL_SECONDS:
            return
        self._levels_asked = now
        with open_history(self._path) as history:
            notes = {name: history.level_note(name, self._clock.utc(), p) for name, p in self._promises.items()}
        self._levels = {name: note for name, note in notes.items() if note}

    def _open(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        try:
            self._store = HistoryStore(self._path, self._limits)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # a full disk, a lock: the file may be whole
                raise
            aside = self._path.with_name(f"{self._path.name}.damaged")
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._path.replace(aside)
            log.warning("history: %s is damaged (%s); it is kept as %s and a new one begins", self._path, error, aside)
            self._store = HistoryStore(self._path, self._limits)

    def _failed(self, error: Exception) -> None:
        text = f"{self._path} cannot be written ({error}); free the disk, or see its permissions"
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            text = f"{self._path} is damaged ({error}); it is replaced"
            if self._store is not None:
                self._store.close()
                self._store = None
        if not self._fault:
            log.error("history: %s. Alarms go on without it", text)
        self._fault = text
