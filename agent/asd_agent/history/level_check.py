"""Check of a monitor's raise level against what the history holds: sound unlike the training, and a broken promise.

What is found is a note for a person, with the level that would keep the promise. No level is ever moved here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.normal_scores import CONFIDENCE, StreamScores, gamma_quantile
from asd_agent.alarm.rate import Promise, a_day
from asd_agent.alarm.rule import SECONDS_A_DAY, Rule
from asd_agent.history.windows import Columns, WindowBlock

PROMISE_DAYS = 7.0
"""Days of single windows that alarms are counted in."""
LEAST_MINUTES = 10
"""Judged minutes since the level is in use: fewer may be a machine that warms up."""
LATELY = 60
"""Judged minutes whose levels are the present ones; a domain that is chosen by window has two."""
NEARLY_ALL = 0.9
"""Share of windows above the level that is nearly all of them."""
STEADY = 0.25
"""Share of the distance to the level by which the scores of the first and the newest minutes may differ."""
LEAST_ALARMS = 3
"""Fewer alarms than these prove nothing."""
UNLIKE_TRAINING = "sounds different from its training since the start, without a change: calibrate it"


def is_unlike_training(minutes: Columns) -> bool:
    """Return whether nearly all windows have been above the level since it is in use, while scores stay as they are.

    A fault that begins later has normal minutes before it, and one that grows changes the scores.

    Args:
        minutes: Dtype `MINUTE`, in the order of time.
    """
    judged = minutes[minutes["scored"] > 0]
    own = judged[_begin_of_present(judged["level"]) :]
    if len(own) < LEAST_MINUTES:
        return False
    first, newest = own[:LEAST_MINUTES], own[-LEAST_MINUTES:]
    if min(_share_over(part) for part in (own, first, newest)) < NEARLY_ALL:
        return False
    moved = abs(_mean(newest) - _mean(first))
    return moved <= max(1.0, STEADY * (_mean(own) - float(own["level"].mean())))


def broken_promise(windows: WindowBlock, alarms: Sequence[Mapping[str, object]], promise: Promise) -> str:
    """Return a proposal in words where more alarms came than were promised, at 95 %; else nothing.

    Alarms that a person has judged `true` do not count, and their sound is no normal sound.

    Args:
        windows: Windows of one monitor in the order of time.
        alarms: Its alarms, with `raised_utc`, `cleared_utc`, `verdict` and `test`.
        promise: Promise of its threshold.
    """
    windows = at_present_level(windows)
    rule = promise.rule
    scored = (windows.rows["verdict"] == 0) & np.isfinite(windows.rows["score"])
    days = np.count_nonzero(scored) * rule.hop_seconds / SECONDS_A_DAY
    if not days:
        return ""
    ends = windows.rows["utc_end"]
    counted = 0
    for alarm in alarms:
        begin, cleared = float(str(alarm["raised_utc"])), alarm.get("cleared_utc")
        if alarm.get("test") or not ends[0] <= begin <= ends[-1]:
            continue
        if alarm.get("verdict") == "true":
            scored &= ~((ends >= begin) & (ends <= (np.inf if cleared is None else float(str(cleared)))))
        else:
            counted += 1
    if counted < LEAST_ALARMS or _least_rate(counted, days) <= promise.at_most:
        return ""
    text = (
        f"{counted} alarms in {days:.1f} days that nobody has judged true, "
        f"where at most {a_day(promise.at_most)} a day were promised"
    )
    normal = StreamScores(_stretches(windows, scored, rule), rule)
    several = len(np.unique(windows.thresholds[scored])) > 1  # a domain is chosen by window, and each has its own
    if several or not normal.supports(promise.wanted_per_day):
        return f"{text}; calibrate it"
    level = normal.level(promise.wanted_per_day)
    return f"{text}; a raise level of {level:.2f} would have given {a_day(promise.wanted_per_day)} a day: calibrate it"


def at_present_level(windows: WindowBlock) -> WindowBlock:
    """Return the windows since the level of the newest ones is in use."""
    levels = windows.thresholds
    judged = np.flatnonzero(np.isfinite(levels))
    if not len(judged):
        return windows.select(np.zeros(len(windows), dtype=np.bool_))
    return windows.select(np.arange(len(windows)) >= judged[_begin_of_present(levels[judged])])


def _begin_of_present(levels: npt.NDArray[np.floating]) -> int:
    """Return the place from which on the levels are those in use at the end."""
    others = np.flatnonzero(~np.isin(levels, levels[-LATELY:]))
    return int(others[-1]) + 1 if len(others) else 0


def _stretches(windows: WindowBlock, normal: npt.NDArray[np.bool_], rule: Rule) -> list[npt.NDArray[np.float64]]:
    """Return the scores of each stretch of normal windows that follow one another at the rule's hop."""
    rows = windows.rows[normal]
    cuts = np.flatnonzero(np.diff(rows["index"]) != 1) + 1
    return [part["score"] for part in np.split(rows, cuts) if len(part) >= max(2, rule.n)]


def _least_rate(count: int, days: float) -> float:
    """Return the lower 95 % limit of the rate of a Poisson process."""
    return gamma_quantile(1.0 - CONFIDENCE, count) / days


def _share_over(minutes: Columns) -> float:
    return float(minutes["over"].sum()) / float(minutes["scored"].sum())


def _mean(minutes: Columns) -> float:
    return float(np.average(minutes["mean"], weights=minutes["scored"]))
