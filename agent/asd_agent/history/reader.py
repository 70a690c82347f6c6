"""Reads of the history: series for a chart, single windows, alarms with their events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rate import Promise
from asd_agent.alarm.rule import SECONDS_A_DAY
from asd_agent.history.drift import STRETCHES, Drift, daily_medians, drift
from asd_agent.history.level_check import (
    LEAST_ALARMS,
    PROMISE_DAYS,
    UNLIKE_TRAINING,
    broken_promise,
    is_unlike_training,
)
from asd_agent.history.schema import open_for_reading
from asd_agent.history.store import HOUR
from asd_agent.history.windows import MINUTE, BlobError, Columns, WindowBlock, minutes_from_bytes, minutes_of

Resolution = Literal["windows", "minutes", "hours"]
POINTS = 2000
"""Points of a chart, at the most: more than a wide screen has columns."""


@dataclass(frozen=True)
class Series:
    """Scores of a monitor over a stretch of time, in steps of equal length.

    Steps without any window are missing, so that gaps stay gaps.

    Attributes:
        step_seconds: Length of a step; 0 where each row is one window.
        utc: Start of each step, seconds since 1970, shape (steps,).
        rows: Columns of dtype `MINUTE`, shape (steps,).
    """

    step_seconds: float
    utc: npt.NDArray[np.float64]
    rows: Columns


class History:
    """A history that is open for reading; `open_history` makes one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def monitors(self) -> list[str]:
        """Return the names of all monitors with stored windows, sorted."""
        names = {name for (name,) in self._db.execute("SELECT name FROM monitors")}
        for block in self._recent(0.0, np.inf):
            names |= set(block.monitors)
        return sorted(names)

    def windows(self, monitor: str, start: float, end: float) -> WindowBlock:
        """Return the windows of a monitor that ended within [start, end), seconds since 1970."""
        blocks: list[WindowBlock] = []
        for data in self._hours("windows", monitor, start, end):
            try:
                blocks.append(WindowBlock.from_bytes(data))
            except BlobError:  # a gap
                continue
        blocks += [block.of_monitor(monitor) for block in self._recent(start, end)]
        whole = WindowBlock.joined(blocks)
        ends = whole.rows["utc_end"]
        return whole.select((ends >= start) & (ends < end))

    def series(self, monitor: str, start: float, end: float, points: int = POINTS) -> Series:
        """Return scores for a chart, as finely as its points allow.

        Args:
            monitor: Its name.
            start: Seconds since 1970.
            end: Likewise.
            points: Points of the chart, at the most.
        """
        seconds = max(end - start, 60.0)
        if seconds / 60.0 <= 4 * points:
            return coarser(self._minutes(monitor, start, end), seconds, points)
        return coarser(self._whole_hours(monitor, start, end), seconds, points)

    def alarms(
        self, *, monitor: str | None = None, since: float = 0.0, until: float = np.inf, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Return alarms, the newest first, each with its newest verdict, label and note."""
        rows = self._rows(
            """SELECT * FROM alarms WHERE raised_utc >= ? AND raised_utc < ? AND (? IS NULL OR monitor = ?)
              ORDER BY raised_utc DESC LIMIT ?""",
            (since, min(until, 1e12), monitor, monitor, limit),
        )
        return [{**row, "test": bool(row["test"]), **self._judgement(row["alarm_id"])} for row in rows]

    def alarm(self, alarm_id: str) -> dict[str, Any] | None:
        """Return one alarm with its events in the order of time; None where there is no such alarm."""
        rows = self._rows("SELECT * FROM alarms WHERE alarm_id = ?", (alarm_id,))
        if not rows:
            return None
        events = self._rows("SELECT * FROM events WHERE alarm_id = ? ORDER BY utc, seq", (alarm_id,))
        return {**rows[0], "test": bool(rows[0]["test"]), **self._judgement(alarm_id), "events": events}

    def events(self, *, monitor: str | None = None, since: float = 0.0, limit: int = 1000) -> list[dict[str, Any]]:
        """Return events, the newest first."""
        return self._rows(
            "SELECT * FROM events WHERE utc >= ? AND (? IS NULL OR monitor = ?) ORDER BY utc DESC, seq DESC LIMIT ?",
            (since, monitor, monitor, limit),
        )

    def trend(self, monitor: str, end: float) -> Drift | None:
        """Return the drift of a monitor's scores up to a time, seconds since 1970; None where there is none."""
        series = self.series(monitor, end - 86_400.0 * STRETCHES[0], end, points=1440 * STRETCHES[0])
        scored = series.rows["scored"]
        days, medians = daily_medians(series.utc, series.rows["mean"], scored)
        levels = series.rows["level"][scored > 0]
        return drift(days, medians, float(np.median(levels))) if len(levels) else None

    def level_note(self, monitor: str, end: float, promise: Promise) -> str:
        """Return what a person should know of a monitor's raise level, in words; empty where there is nothing.

        Args:
            monitor: Its name.
            end: Now, in seconds since 1970.
            promise: Promise of its threshold.
        """
        days = STRETCHES[0]
        if is_unlike_training(self.series(monitor, end - SECONDS_A_DAY * days, end, points=1440 * days).rows):
            return UNLIKE_TRAINING
        begin = end - SECONDS_A_DAY * PROMISE_DAYS
        alarms = self.alarms(monitor=monitor, since=begin, until=end)
        if len(alarms) < LEAST_ALARMS:
            return ""
        return broken_promise(self.windows(monitor, begin, end), alarms, promise)

    def _judgement(self, alarm_id: str) -> dict[str, Any]:
        """Return the newest verdict with its label, and the newest note."""
        rows = self._rows(
            "SELECT verdict, label, note FROM events WHERE alarm_id = ? AND (verdict IS NOT NULL OR note IS NOT NULL) "
            "ORDER BY utc DESC, seq DESC",
            (alarm_id,),
        )
        judged: Mapping[str, Any] = next((r for r in rows if r["verdict"]), {})
        note = next((r["note"] for r in rows if r["note"]), None)
        return {"verdict": judged.get("verdict"), "label": judged.get("label"), "note": note}

    def _minutes(self, monitor: str, start: float, end: float) -> Series:
        first, last = int(start // HOUR), int(np.ceil(end / HOUR))
        minutes = np.zeros(60 * (last - first), MINUTE)
        for hour, data in self._hour_rows("minutes", monitor, start, end):
            try:
                minutes[60 * (hour - first) : 60 * (hour - first + 1)] = minutes_from_bytes(data)
            except (BlobError, ValueError):  # a gap
                continue
        for hour, block in self._recent_hours(monitor, start, end):
            if first <= hour < last:
                # An hour that was packed before a clock was set back has stored minutes too: more windows decide.
                fresh, place = minutes_of(block, hour), slice(60 * (hour - first), 60 * (hour - first + 1))
                better = fresh["scored"] + fresh["invalid"] + fresh["suspended"] > 0
                minutes[place][better] = fresh[better]
        utc = 60.0 * (60 * first + np.arange(len(minutes), dtype=np.float64))
        kept = (minutes["scored"] + minutes["invalid"] + minutes["suspended"] > 0) & (utc > start - 60.0) & (utc < end)
        return Series(60.0, utc[kept], minutes[kept])

    def _whole_hours(self, monitor: str, start: float, end: float) -> Series:
        found = self._db.execute(
            """SELECT hour, low, mean, high, level, scored, over, invalid, suspended FROM hours JOIN monitors
              ON monitors.id = hours.monitor WHERE name = ? AND hour >= ? AND hour < ? ORDER BY hour""",
            (monitor, int(start // HOUR), int(np.ceil(end / HOUR))),
        ).fetchall()
        rows = np.zeros(len(found), MINUTE)
        for place, name in enumerate(("low", "mean", "high", "level"), start=1):
            rows[name] = [np.nan if f[place] is None else f[place] for f in found]
        for place, name in enumerate(("scored", "over", "invalid", "suspended"), start=5):
            rows[name] = [min(f[place], 65_535) for f in found]
        return Series(HOUR, HOUR * np.array([f[0] for f in found], np.float64), rows)

    def _recent(self, start: float, end: float) -> Iterator[WindowBlock]:
        query = "SELECT data FROM recent WHERE last_utc >= ? AND first_utc < ? ORDER BY id"
        for (data,) in self._db.execute(query, (start, min(end, 1e12))):
            try:
                yield WindowBlock.from_bytes(data)
            except BlobError:  # a gap
                continue

    def _recent_hours(self, monitor: str, start: float, end: float) -> Iterator[tuple[int, WindowBlock]]:
        mine = WindowBlock.joined([b.of_monitor(monitor) for b in self._recent(start, end)])
        hours = np.floor(mine.rows["utc_end"] / HOUR).astype(np.int64)
        for hour in np.unique(hours):
            yield int(hour), mine.select(hours == hour)

    def _hours(self, table: str, monitor: str, start: float, end: float) -> list[bytes]:
        return [data for _, data in self._hour_rows(table, monitor, start, end)]

    def _hour_rows(self, table: str, monitor: str, start: float, end: float) -> list[tuple[int, bytes]]:
        query = (
            f"SELECT hour, data FROM {table} JOIN monitors ON monitors.id = {table}.monitor "  # noqa: S608 - own names
            "WHERE name = ? AND hour >= ? AND hour < ? ORDER BY hour"
        )
        return self._db.execute(query, (monitor, int(start // HOUR), int(np.ceil(min(end, 1e12) / HOUR)))).fetchall()

    def _rows(self, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        cursor = self._db.execute(query, values)
        names = [d[0] for d in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


@contextmanager
def open_history(path: Path) -> Iterator[History]:
    """Open a history read-only, also while the service writes it.

    Raises:
        HistoryError: There is none, or it cannot be read.
    """
    with open_for_reading(path) as connection:
        yield History(connection)


def coarser(series: Series, seconds: float, points: int) -> Series:
    """Return a series with steps so long that a stretch of time has no more than a number of points.

    Lowest and highest scores stay; means are weighted by their windows.
    """
    factor = int(np.ceil(seconds / series.step_seconds / points))
    if factor <= 1 or not len(series.utc):
        return series
    step = factor * series.step_seconds
    place = np.floor(series.utc / step).astype(np.int64)
    unique, starts = np.unique(place, return_index=True)
    rows, old = np.zeros(len(unique), MINUTE), series.rows
    weights = old["scored"].astype(np.float64)
    low, high, level = (np.where(weights > 0, old[c], np.nan) for c in ("low", "high", "level"))
    rows["low"] = np.fmin.reduceat(low, starts)
    rows["high"] = np.fmax.reduceat(high, starts)
    rows["level"] = np.fmax.reduceat(level, starts)
    total = np.add.reduceat(weights, starts)
    weighted = np.add.reduceat(np.where(weights > 0, old["mean"], 0.0) * weights, starts)
    rows["mean"] = np.divide(weighted, total, out=np.full(len(total), np.nan), where=total > 0)
    for name in ("scored", "over", "invalid", "suspended"):
        rows[name] = np.minimum(np.add.reduceat(old[name].astype(np.int64), starts), 65_535)
    return Series(step, np.asarray(unique * step, dtype=np.float64), rows)
