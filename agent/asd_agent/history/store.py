"""Writes of the history: commits of windows and events, the packing of hours that are over, and the bound on its size.

The caller commits about once a minute. A commit appends one block. Once an hour is over, its windows move into
one block a monitor, beside statistics of its minutes and of the whole hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_agent.alarm import ScoredWindow
from asd_agent.history.schema import open_for_writing
from asd_agent.history.windows import BlobError, Columns, WindowBlock, minutes_of, minutes_to_bytes

HOUR = 3600.0
PACK_AFTER_SECONDS = 120.0
"""Time after an hour's end before it is packed: its last windows are committed by then."""
VACUUM_PAGES = 256
"""Pages that one commit gives back to the file system at the most, so that no commit takes long."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what is kept.

    Attributes:
        window_days: Days that single windows are kept.
        minute_days: Days that minutes, hours and alarms are kept.
        max_bytes: Size of the database; the oldest windows go first, then the oldest minutes.
        drift: Whether slow trends are looked for.
    """

    window_days: float = 14.0
    minute_days: float = 730.0
    max_bytes: int = 500 << 20
    drift: bool = True


@dataclass(frozen=True)
class EventRow:
    """One event of a monitor's alarm, or one action of an operator on it."""

    id: str
    alarm_id: str | None
    monitor: str
    utc: float
    event: str
    seq: int
    state: str
    severity: int
    by: str | None = None
    note: str | None = None
    verdict: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class AlarmRow:
    """One alarm from its raising on; a later row of the same id replaces what is given in it."""

    alarm_id: str
    monitor: str
    machine: str
    section: str
    domain: str
    bundle: str
    raised_utc: float
    severity: int
    text: str
    cleared_utc: float | None = None
    ended_utc: float | None = None
    acknowledged_utc: float | None = None
    peak_score: float | None = None
    level: float | None = None
    evidence_id: str | None = None
    test: bool = False


@dataclass(frozen=True)
class Batch:
    """Content of one commit."""

    windows: Sequence[tuple[str, ScoredWindow]] = ()
    alarms: Sequence[AlarmRow] = ()
    events: Sequence[EventRow] = ()


class HistoryStore:
    """The one writer of a history.

    Args:
        path: The database; created where there is none.
        limits: Bounds on what is kept.

    Raises:
        sqlite3.Error: It is damaged, or the disk refuses.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._db = open_for_writing(path)
        self._ids: dict[str, int] = dict(self._db.execute("SELECT name, id FROM monitors"))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @property
    def bytes(self) -> int:
        """Size in use, without pages that are free for new rows."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    def commit(self, batch: Batch, utc: float) -> None:
        """Store a batch, pack the hours that are over, and drop what is too old or too much.

        Args:
            batch: Windows, alarms and events.
            utc: Wall-clock time in seconds since 1970.

        Raises:
            sqlite3.Error: Nothing of the batch is stored.
        """
        with self._transaction():
            if batch.windows:
                ends = [w.utc_end for _, w in batch.windows]
                row = (min(ends), max(ends), WindowBlock.of(batch.windows).to_bytes())
                self._db.execute("INSERT INTO recent (first_utc, last_utc, data) VALUES (?, ?, ?)", row)
            self._put_alarms(batch.alarms)
            self._db.executemany(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [tuple(vars(e).values()) for e in batch.events],
            )
        self._pack(utc)
        self._drop_old(utc)

    def _put_alarms(self, alarms: Iterable[AlarmRow]) -> None:
        self._db.executemany(
            """INSERT INTO alarms (alarm_id, monitor, machine, section, domain, bundle, raised_utc, severity, text,
              cleared_utc, ended_utc, acknowledged_utc, peak_score, level, evidence_id, test)
              VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
              ON CONFLICT (alarm_id) DO UPDATE SET severity = max(severity, excluded.severity),
                text = CASE excluded.text WHEN '' THEN text ELSE excluded.text END,
                cleared_utc = coalesce(excluded.cleared_utc, cleared_utc),
                ended_utc = coalesce(excluded.ended_utc, ended_utc),
                acknowledged_utc = coalesce(excluded.acknowledged_utc, acknowledged_utc),
                peak_score = max(coalesce(excluded.peak_score, peak_score), coalesce(peak_score, excluded.peak_score)),
                level = coalesce(excluded.level, level), evidence_id = coalesce(excluded.evidence_id, evidence_id)""",
            [tuple(vars(a).values()) for a in alarms],
        )

    def _pack(self, utc: float) -> None:
        """Move windows of hours that are over from `recent` into blocks of their hours."""
        over = np.floor((utc - PACK_AFTER_SECONDS) / HOUR) * HOUR
        found = self._db.execute("SELECT id, data FROM recent WHERE last_utc < ? ORDER BY id", (over,)).fetchall()
        # A block that reaches into the running hour stays; what it holds of the hour before is packed with it later.
        if not found:
            return
        blocks = [b for b in (_readable(data) for _, data in found) if b is not None]
        whole = WindowBlock.joined(blocks)
        with self._transaction():
            for name in whole.monitors:
                mine = whole.of_monitor(name)
                hours = np.floor(mine.rows["utc_end"] / HOUR).astype(np.int64)
                for hour in np.unique(hours):
                    self._put_hour(self._id(name), int(hour), mine.select(hours == hour))
            self._db.executemany("DELETE FROM recent WHERE id = ?", [(i,) for i, _ in found])

    def _put_hour(self, monitor: int, hour: int, block: WindowBlock) -> None:
        key = (monitor, hour)
        stored = self._db.execute("SELECT data FROM windows WHERE monitor = ? AND hour = ?", key).fetchone()
        earlier = _readable(stored[0]) if stored else None
        whole = WindowBlock.joined([earlier, block]) if earlier is not None else block
        minutes = minutes_of(whole, hour)
        self._db.execute("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", (*key, whole.to_bytes()))
        self._db.execute("INSERT OR REPLACE INTO minutes VALUES (?, ?, ?)", (*key, minutes_to_bytes(minutes)))
        self._db.execute(
            "INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*key, *_hour_row(minutes))
        )

    def _drop_old(self, utc: float) -> None:
        oldest_window = int((utc - 86_400.0 * self._limits.window_days) // HOUR)
        oldest_minute = int((utc - 86_400.0 * self._limits.minute_days) // HOUR)
        with self._transaction():
            self._db.execute("DELETE FROM windows WHERE hour < ?", (oldest_window,))
            for table in ("minutes", "hours"):
                self._db.execute(f"DELETE FROM {table} WHERE hour < ?", (oldest_minute,))  # noqa: S608 - own names
            self._db.execute("DELETE FROM alarms WHERE raised_utc < ?", (oldest_minute * HOUR,))
            self._db.execute("DELETE FROM events WHERE utc < ?", (oldest_minute * HOUR,))
        for table in ("windows", "minutes"):
            while self.bytes > self._limits.max_bytes:
                (first,) = self._db.execute(f"SELECT min(hour) FROM {table}").fetchone()  # noqa: S608 - own names
                if first is None:
                    break
                with self._transaction():
                    self._db.execute(f"DELETE FROM {table} WHERE hour < ?", (first + 24,))  # noqa: S608 - own names
        self._db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")

    def _id(self, name: str) -> int:
        if name not in self._ids:
            cursor = self._db.execute("INSERT INTO monitors (name) VALUES (?)", (name,))
            self._ids[name] = int(cursor.lastrowid or 0)
        return self._ids[name]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _readable(data: bytes) -> WindowBlock | None:
    """Return a block, None where it is damaged: its minutes become a gap, and the rest goes on."""
    try:
        return WindowBlock.from_bytes(data)
    except BlobError:
        return None


def _hour_row(minutes: Columns) -> tuple[float | int | None, ...]:
    scored = minutes["scored"].astype(np.int64)
    judged = minutes[scored > 0]
    counts = tuple(int(minutes[c].sum()) for c in ("scored", "over", "invalid", "suspended"))
    if not len(judged):
        return (None, None, None, None, *counts)
    mean = float(np.average(judged["mean"], weights=judged["scored"]))
    return (float(judged["low"].min()), mean, float(judged["high"].max()), float(judged["level"].max()), *counts)
