"""A chart of scores against the level for a terminal of 80 columns."""

from __future__ import annotations

from datetime import datetime, tzinfo

import numpy as np

from asd_agent.history.reader import Series

HEIGHT = 12
_BAR, _MEAN, _LEVEL, _OVER, _GAP = "│", "•", "─", "█", "·"


def chart(series: Series, start: float, end: float, *, width: int = 80, zone: tzinfo | None = None) -> list[str]:
    """Draw lowest to highest scores of each column, their mean, the raise level, and columns without any score.

    Args:
        series: The scores.
        start: Left edge in seconds since 1970.
        end: Right edge.
        width: Columns of the whole chart, with its scale.
        zone: Time zone of the lower scale; the box's own where it is not given.

    Returns:
        Lines of at most `width` columns; without any score a line that states it.
    """
    scored = series.rows["scored"] > 0
    if not scored.any():
        return ["no scores in this stretch of time"]
    columns = width - 9
    place = np.clip(((series.utc - start) / (end - start) * columns).astype(int), 0, columns - 1)
    low, high, mean, level = (np.full(columns, np.nan) for _ in range(4))
    for column in np.unique(place[scored]):
        rows = series.rows[scored & (place == column)]
        low[column], high[column] = rows["low"].min(), rows["high"].max()
        mean[column], level[column] = np.average(rows["mean"], weights=rows["scored"]), rows["level"].max()
    bottom = float(np.nanmin(np.fmin(low, level)))
    # A fault may be a hundred times above the level: the scale ends where the level still differs from the floor.
    top = min(float(np.nanmax(np.fmax(high, level))), bottom + 4.0 * max(float(np.nanmax(level)) - bottom, 1e-6))
    scale = max(top - bottom, 1e-6)
    cells = [[" "] * columns for _ in range(HEIGHT)]

    def row_of(value: float) -> int:
        return int(np.clip(round((top - value) / scale * (HEIGHT - 1)), 0, HEIGHT - 1))

    for column in range(columns):
        if np.isnan(low[column]):
            cells[HEIGHT - 1][column] = _GAP
            continue
        threshold = row_of(level[column])
        cells[threshold][column] = _LEVEL
        for row in range(row_of(high[column]), row_of(low[column]) + 1):
            cells[row][column] = _OVER if high[column] > level[column] and row < threshold else _BAR
        cells[row_of(mean[column])][column] = _MEAN
    lines = [f"{top - scale * row / (HEIGHT - 1):7.2f} {''.join(c)}".rstrip() for row, c in enumerate(cells)]
    left, right = (datetime.fromtimestamp(t, tz=zone).astimezone(zone).strftime("%Y-%m-%d %H:%M") for t in (start, end))
    lines.append(f"{'':8}{left}{right:>{columns - len(left)}}")
    lines.append(f"{'':8}{_BAR} lowest to highest  {_MEAN} mean  {_LEVEL} level  {_OVER} over it  {_GAP} no score")
    return lines
