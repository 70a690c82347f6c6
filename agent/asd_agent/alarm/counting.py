"""Alarms in contiguous normal recordings, counted by the raise and clear rule of `asd_agent.alarm.machine`.

k of the last n windows raise at a level u exactly when the k-th largest of the last n scores exceeds u. A test holds
the counts equal to the state machine's, window by window.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rule import Rule

Float = npt.NDArray[np.float64]
GRID = 150
"""Levels at which alarms are counted; their ranks are spaced geometrically, since the highest matter most."""


def kth_largest(scores: npt.NDArray[np.floating], rule: Rule) -> Float:
    """Return the k-th largest of the last n scores, which raises; −∞ until there are k; shape (windows,)."""
    values = np.asarray(scores, dtype=np.float64)
    padded = np.concatenate([np.full(rule.n - 1, -np.inf), values])
    last = np.lib.stride_tricks.sliding_window_view(padded, rule.n)
    return np.asarray(np.partition(last, rule.n - rule.k, axis=1)[:, rule.n - rule.k])


def joined(stretches: Sequence[npt.NDArray[np.floating]], rule: Rule) -> Float:
    """Return stretches of sound as one series: between two of them every alarm ends and every vote is forgotten."""
    between = np.full(max(rule.n, rule.clear_after), -np.inf)
    parts = [part for stretch in stretches for part in (np.asarray(stretch, dtype=np.float64), between)]
    return np.concatenate(parts) if parts else np.zeros(0)


def raises(scores: npt.NDArray[np.floating], level: float, clear_level: float, rule: Rule) -> list[int]:
    """Return the windows at which an alarm is raised.

    Args:
        scores: Shape (windows,), in the order of time and without gaps.
        level: A window above it counts.
        clear_level: `rule.clear_after` successive windows below it end the alarm, and votes are forgotten then.
        rule: k and n.
    """
    over = np.flatnonzero(scores > level)
    last = over[rule.k - 1 :]
    enough = last[last - over[: len(last)] < rule.n].tolist()
    if not enough:
        return []
    votes = over.tolist()
    held = np.flatnonzero(scores >= min(level, clear_level))
    # The alarm ends after a window at or above the clear level with enough windows below it behind.
    ends = held[np.diff(np.append(held, len(scores))) > rule.clear_after].tolist()
    found: list[int] = []
    after = -1
    while (place := bisect_right(enough, after)) < len(enough):
        # Right after the end of an alarm, votes from before it must not count.
        while place < len(enough) and votes[bisect_left(votes, enough[place]) - rule.k + 1] <= after:
            place += 1
        if place == len(enough):
            break
        found.append(enough[place])
        end = bisect_left(ends, enough[place])
        if end == len(ends):
            break
        after = ends[end] + rule.clear_after
    return found


def alarm_levels(scores: npt.NDArray[np.floating], rule: Rule, clear_below: float, most: int) -> Float:
    """Return the highest levels at which 1, 2, 3, … alarms are raised, in falling order.

    The rule itself declusters: a level counts as many times as the rule raises there. An alarm that clears and comes
    again within one excursion of the scores counts twice, as it does for a person.

    Args:
        scores: One series, see `joined`.
        rule: Raise and clear rule.
        clear_below: The clear level is this much below the raise level.
        most: Levels that are wanted; there may be fewer.

    Returns:
        Shape (alarms,).
    """
    y = kth_largest(scores, rule)
    inner = y[1:-1]
    peaks = np.concatenate([inner[(inner >= y[:-2]) & (inner > y[2:])], y[-1:], y[:1]])
    candidates = np.unique(peaks[np.isfinite(peaks)])[::-1]
    if len(candidates) > GRID:
        ranks = np.unique(np.round(np.geomspace(1, len(candidates), GRID)).astype(int))
        candidates = candidates[ranks - 1]
    found: list[float] = []
    for level in candidates.tolist():
        # At the level itself the peak does not exceed it: the alarm comes just below.
        below = float(np.nextafter(level, -np.inf))
        found += [level] * (len(raises(scores, below, below - clear_below, rule)) - len(found))
        if len(found) >= most:
            break
    return np.array(found[:most])
