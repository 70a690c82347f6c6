"""Values as people read them: times of the box, durations, sizes, and the tiny charts of tiles."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_agent.clock import iso_utc, seconds_of

SPARK_WIDTH, SPARK_HEIGHT = 240.0, 44.0
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,60}\Z")


def seconds(value: float | str | None) -> float | None:
    """Return seconds since 1970 from either form that the service sends."""
    return seconds_of(value) if isinstance(value, str) else value


def local(value: float | str | None, now: float | None = None) -> str:
    """Return a time of the box's zone: the clock alone for today, else with its date."""
    utc = seconds(value)
    if utc is None:
        return "–"
    there, today = datetime.fromtimestamp(utc).astimezone(), datetime.fromtimestamp(now or time.time()).astimezone()
    return there.strftime("%H:%M:%S" if there.date() == today.date() else "%Y-%m-%d %H:%M")


def machine_time(value: float | str | None) -> str:
    """Return a time for the attribute `datetime`."""
    utc = seconds(value)
    return "" if utc is None else iso_utc(utc)


def lasted(duration: float | None) -> str:
    """Return a duration with its unit, such as `12 min`."""
    if duration is None:
        return "–"
    span = max(0.0, duration)
    if span < 90:
        return f"{round(span)} s"
    if span < 90 * 60:
        return f"{round(span / 60)} min"
    return f"{span / 3600:.1f} h" if span < 48 * 3600 else f"{round(span / 86_400)} d"


def number(value: float | None, digits: int = 1) -> str:
    """Return a number, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def size(count: float | None) -> str:
    """Return a size in bytes with its unit (powers of 1000)."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in {"B", "kB"} else f"{count:.1f} {unit}"
        count /= 1000
    return "–"


def zone_name(link: Path = Path("/etc/localtime"), environment: str | None = os.environ.get("TZ")) -> str:
    """Return the IANA name of the box's time zone for charts; empty where it is unknown."""
    text = environment or ""
    if not text:
        try:
            text = str(link.resolve()).partition("zoneinfo/")[2]
        except OSError:
            return ""
    return text if _ZONE.match(text) else ""


def spark(series: dict[str, Any], start: float, end: float) -> dict[str, Any] | None:
    """Return the lines of a tile's chart: the highest scores, cut at gaps, and the level.

    Args:
        series: Columns of `asd_agent.gateway.past.series_columns`.
        start: Left edge in seconds since 1970.
        end: Right edge.

    Returns:
        `lines` (each the value of an SVG attribute `points`), `level` (height of the level, or None) and `over` (points
        above it); None where nothing was scored.
    """
    points = [(t, h, v) for t, h, v in zip(series["time"], series["high"], series["level"], strict=True)]
    scored = [(t, h, v) for t, h, v in points if h is not None]
    if not scored:
        return None
    levels = [v for _, _, v in scored if v is not None]
    level = levels[-1] if levels else None
    bottom = min([h for _, h, _ in scored] + levels)
    top = max([h for _, h, _ in scored] + levels)
    if level is not None:  # a fault may be a hundred times above the level: the rest must stay readable
        top = min(top, bottom + 2.5 * max(level - bottom, 1e-6))
    span = max(top - bottom, 1e-6)

    def place(t: float, value: float) -> tuple[float, float]:
        x = (t - start) / max(end - start, 1.0) * SPARK_WIDTH
        y = SPARK_HEIGHT - 2 - (min(value, top) - bottom) / span * (SPARK_HEIGHT - 4)
        return round(x, 1), round(y, 1)

    lines: list[list[tuple[float, float]]] = []
    step, before = 2.5 * max(series["step"], 60.0), -1e12
    for t, high, _ in scored:
        if t - before > step:
            lines.append([])
        lines[-1].append(place(t, high))
        before = t
    return {
        "lines": [_points(line) for line in lines],
        "level": None if level is None else place(start, level)[1],
        "over": [place(t, h) for t, h, v in scored if v is not None and h > v][:400],
    }


def _points(line: Sequence[tuple[float, float]]) -> str:
    drawn = [*line, (line[0][0] + 1.0, line[0][1])] if len(line) == 1 else line
    return " ".join(f"{x:g},{y:g}" for x, y in drawn)
