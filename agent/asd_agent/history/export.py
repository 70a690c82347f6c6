"""Export of windows, minutes or alarms as CSV or as JSON lines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any, Literal

from asd_agent.clock import iso_utc
from asd_agent.history.reader import History, Series

Format = Literal["csv", "jsonl"]
What = Literal["windows", "minutes", "alarms"]
WINDOW_FIELDS = ("time", "score", "threshold", "verdict", "suspect", "reasons")
MINUTE_FIELDS = ("time", "low", "mean", "high", "level", "scored", "over", "invalid", "suspended")
ALARM_FIELDS = (
    "alarm_id", "monitor", "machine", "section", "domain", "raised", "cleared", "acknowledged", "ended", "severity",
    "peak_score", "level", "text", "verdict", "label", "note", "evidence_id", "test",
)  # fmt: skip
_CHUNK_SECONDS = 86_400.0
"""A day at a time, so that an export of two years needs no more memory than one of a day."""


def export(history: History, what: What, monitor: str | None, start: float, end: float, form: Format) -> Iterator[str]:
    """Yield the lines of an export.

    Args:
        history: Where to read.
        what: Single windows, statistics of minutes, or alarms.
        monitor: Its name; None for all.
        start: Seconds since 1970.
        end: Likewise.
        form: Comma-separated values with a header, or one JSON object a line.
    """
    monitors = [monitor] if monitor is not None else history.monitors()
    fields = {"windows": WINDOW_FIELDS, "minutes": MINUTE_FIELDS, "alarms": ALARM_FIELDS}[what]
    if what != "alarms":
        fields = ("monitor", *fields)
    if form == "csv":
        yield _csv(fields)
    for row in _rows(history, what, monitors, start, end):
        yield _csv([row.get(f) for f in fields]) if form == "csv" else json.dumps({f: row.get(f) for f in fields})


def _rows(history: History, what: What, monitors: list[str], start: float, end: float) -> Iterator[dict[str, Any]]:
    if what == "alarms":
        for name in monitors:
            for alarm in reversed(history.alarms(monitor=name, since=start, until=end, limit=1_000_000)):
                yield alarm_document(alarm)
        return
    for name in monitors:
        at = start
        while at < end:
            until = min(at + _CHUNK_SECONDS, end)
            if what == "windows":
                for window in history.windows(name, at, until).windows():
                    yield {
                        "monitor": name,
                        "time": iso_utc(window.utc_end),
                        "score": window.score,
                        "threshold": window.threshold,
                        "verdict": window.verdict,
                        "suspect": window.suspect,
                        "reasons": " ".join(window.reasons),
                    }
            else:
                yield from (
                    {"monitor": name, **row} for row in series_rows(history.series(name, at, until, points=1440))
                )
            at = until


def series_rows(series: Series) -> Iterator[dict[str, Any]]:
    """Yield the steps of a series as plain values; scores are None where nothing was scored."""
    for utc, row in zip(series.utc, series.rows, strict=True):
        values = {f: row[f].item() for f in MINUTE_FIELDS[1:]}
        yield {
            "time": iso_utc(float(utc)),
            **{f: None if isinstance(v, float) and math.isnan(v) else v for f, v in values.items()},
        }


def alarm_document(alarm: dict[str, Any]) -> dict[str, Any]:
    """Return an alarm with its times in ISO 8601 in place of seconds."""
    times = {
        name: None if alarm[f"{name}_utc"] is None else iso_utc(alarm[f"{name}_utc"])
        for name in ("raised", "cleared", "acknowledged", "ended")
    }
    rest = {key: value for key, value in alarm.items() if not key.endswith("_utc")}
    if "events" in rest:
        rest["events"] = [
            {"time": iso_utc(e["utc"]), **{k: v for k, v in e.items() if k != "utc"}} for e in rest["events"]
        ]
    return {**rest, **times}


def _csv(values: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["" if v is None else v for v in values])
    return line.getvalue()
