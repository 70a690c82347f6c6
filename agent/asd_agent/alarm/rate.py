"""Levels at which an alarm is raised and cleared, from a wanted number of alarms a day on normal sound.

The rate is that of the monitor's own rule. Levels come from contiguous recordings where these are long enough, else
from loose clips. A threshold carries what it rests on and whether the wanted rate is attainable with that.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.normal_scores import (
    CLEAR_BELOW,
    TAIL_CLIPS,
    AlarmRate,
    ClipScores,
    NormalScores,
    StreamScores,
)
from asd_agent.alarm.rule import Rule
from asd_agent.bundle.manifest import AlarmRule, Threshold
from asd_agent.config.model import MonitorSettings
from asd_agent.errors import DataError

__all__ = [
    "Method",
    "Promise",
    "Rule",
    "a_day",
    "default_rate",
    "fit_threshold",
    "rate_at",
    "rate_text",
    "rate_to_find",
    "rule_of",
    "threshold_under",
]

Scores = npt.NDArray[np.floating]
Method = Literal["auto", "quantile", "gamma", "tail"]

LEAST_DEFAULT = 1.0
"""Alarms a day that a person takes from one monitor for nothing, at the most: each costs a walk to the machine."""
ROUNDING = 1e-9
"""Relative error of a rate that was computed in another order."""
GAMMA_QUANTILE = 0.9
"""Quantile of the official baselines' decision threshold."""


@dataclass(frozen=True)
class Promise:
    """Alarms a day that a threshold promises on normal sound.

    Attributes:
        rule: Rule of the monitor.
        wanted_per_day: Wanted alarms a day.
        upper_per_day: Upper 95 % limit of the expected alarms; None in bundles that state none.
    """

    rule: Rule
    wanted_per_day: float
    upper_per_day: float | None = None

    @property
    def at_most(self) -> float:
        """Alarms a day that break no promise."""
        return max(self.wanted_per_day, self.upper_per_day or 0.0)


def default_rate(normal: NormalScores) -> float:
    """Return the alarms a day that are wanted where nobody states any: one, or the smallest rate that is supported.

    A fixed rate of 0.1 a day needs 587 loose clips. With fewer the level went to the largest of the scores, which is an
    odd clip more often than not, and the monitor was deaf.
    """
    return max(LEAST_DEFAULT, normal.least_per_day)


def fit_threshold(
    reference: Scores,
    *,
    alarms_per_day: float | None = None,
    rule: Rule | None = None,
    method: Method = "auto",
    streams: StreamScores | None = None,
    recordings: int | None = None,
) -> Threshold:
    """Return raise and clear level from scores of normal clips that no fit has seen.

    Args:
        reference: Standardised scores, shape (clips,), in any order.
        alarms_per_day: Wanted false alarms a day by the rule; see `default_rate` where it is not given.
        rule: Rule of the monitor: k of n, hop, window, and what clears.
        method: `quantile` takes an order statistic and never exceeds the largest score; `tail` goes on with a
            generalised Pareto distribution; `auto` does so with 60 clips and more; `gamma` is the official baselines'
            way (90th percentile, whatever rate is wanted).
        streams: Scores of contiguous recordings; they are used where they are long enough for the wanted rate.
        recordings: Recordings that the clips come from.

    Raises:
        DataError: No finite scores, or fewer than 60 for `tail`.

    >>> level = fit_threshold(np.linspace(-2, 2, 200), alarms_per_day=1.0)
    >>> level.basis, level.attainable
    ('clips', True)
    """
    rule = rule or Rule()
    scores = np.sort(np.asarray(reference, dtype=np.float64))
    if len(scores) == 0 or not np.isfinite(scores).all():
        raise DataError("no finite scores of normal clips to set a threshold by", "Give more normal recordings.")
    if method == "tail" and len(scores) < TAIL_CLIPS:
        raise DataError(
            f"{len(scores)} normal clips are too few to fit a tail, which takes {TAIL_CLIPS}",
            "Use the method 'auto' or 'quantile'.",
        )
    clips = ClipScores(scores, rule, tailed=method in ("auto", "tail"))
    if method == "gamma":
        level = _gamma_level(scores)
        return _threshold(level, "gamma", rule.alarms_per_day(1 - GAMMA_QUANTILE), clips, scores, recordings)
    wanted = alarms_per_day if alarms_per_day is not None else _default(clips, streams)
    if streams is not None and streams.supports(wanted):
        level = streams.level(wanted)
        named: Literal["quantile", "tail"] = "tail" if level > float(streams.levels[0]) else "quantile"
        return _threshold(level, named, wanted, streams, scores, len(streams.stretches))
    level = clips.level(wanted)
    if streams is not None and len(streams.levels):
        level = max(level, float(streams.levels[0]))
    counted = clips.tail is None or level < clips.tail.start
    return _threshold(level, "quantile" if counted else "tail", wanted, clips, scores, recordings)


def rate_at(
    level: float, reference: Scores, rule: Rule, streams: StreamScores | None = None
) -> tuple[AlarmRate, NormalScores]:
    """Return the alarms a day at a level that is there already, by the rule of a monitor, and what they rest on.

    Args:
        level: Raise level.
        reference: Standardised scores of normal clips, shape (clips,).
        rule: Rule of the monitor.
        streams: Scores of contiguous recordings at the rule's hop; they are preferred where they support the rate.
    """
    clips = ClipScores(np.sort(np.asarray(reference, dtype=np.float64)), rule)
    if streams is not None:
        found = streams.rate(level)
        if streams.supports(found.expected):
            return found, streams
    return clips.rate(level), clips


def rate_to_find(share: float, faulty: Scores, reference: Scores, rule: Rule) -> float:
    """Return the smallest rate of false alarms a day at which a share of faulty windows is above the level.

    It is a property of labelled faults and is measured. It never chooses a level.

    Args:
        share: Above 0, up to 1.
        faulty: Scores of faulty windows, shape (windows,).
        reference: Standardised scores of normal clips, shape (clips,).
        rule: Rule of the monitor.

    >>> normal, faulty = np.linspace(-2, 2, 200), np.array([0.0, 5.0])
    >>> rate_to_find(0.5, faulty, normal, Rule()) < rate_to_find(1.0, faulty, normal, Rule())
    True
    """
    falling = np.sort(np.asarray(faulty, dtype=np.float64))[::-1]
    level = np.nextafter(falling[max(0, math.ceil(share * len(falling)) - 1)], -np.inf)
    return rate_at(float(level), reference, rule)[0].expected


def rule_of(monitor: MonitorSettings, window_seconds: float) -> Rule:
    """Return the rule of a monitor."""
    alarm = monitor.alarm
    after = alarm.raise_after
    return Rule(after.k, after.n, monitor.hop_seconds, window_seconds, alarm.clear_after)


def threshold_under(threshold: Threshold, reference: Scores, rule: Rule) -> Threshold:
    """Return a threshold with its levels as they are and the rates that hold for the rule of a monitor.

    Rates that hold for this rule stay. Otherwise they are those of the loose reference scores: a bundle keeps no series
    to count another rule in.

    Args:
        threshold: Levels in use.
        reference: Standardised reference scores that the levels belong to, shape (clips,).
        rule: Rule of the monitor.
    """
    own = AlarmRule(**asdict(rule))
    if threshold.rule == own:
        return threshold
    rate, normal = rate_at(threshold.raise_level, reference, rule)
    stated_none = threshold.basis is not None and threshold.upper_per_day is None
    update = {
        "window_rate": min(1.0, rate.window_rate),
        "false_alarms_per_day": rate.expected,
        # Few clips that show no limit for one rule show none for another. Those of a condition are not kept apart.
        "upper_per_day": None if stated_none else rate.upper,
        "upper_alone_per_day": None,
        "alone": "",
        "least_per_day": normal.least_per_day,
        "attainable": rate.expected <= threshold.wanted_per_day * (1 + ROUNDING),
        "basis": normal.basis,
        "hours": normal.hours,
        "rule": own,
    }
    return threshold.model_copy(update=update)


def a_day(rate: float) -> str:
    """Return a rate in two digits.

    >>> a_day(0.1234), a_day(262.3)
    ('0.12', '260')
    """
    return f"{float(f'{rate:.2g}'):g}"


def rate_text(threshold: Threshold) -> str:
    """Return what to expect of a threshold in words, without a number that its data do not support."""
    wanted = f"{a_day(threshold.wanted_per_day)} wanted"
    if threshold.basis is None:
        return f"{a_day(threshold.false_alarms_per_day)} a day expected, {wanted}"
    sound = _sound(threshold)
    least = threshold.least_per_day
    if least is not None and threshold.wanted_per_day < least * (1 - ROUNDING):
        return f"{sound} support no rate under {a_day(least)} a day, {wanted}"
    limit = ", no upper limit"
    if threshold.upper_per_day is not None:
        limit = f", at most {a_day(threshold.upper_per_day)} (95 %"
        if threshold.upper_alone_per_day is not None:
            limit += f", {a_day(threshold.upper_alone_per_day)} in {threshold.alone} alone"
        limit += ")"
    return f"{a_day(threshold.false_alarms_per_day)} a day expected{limit}, {wanted}; from {sound}"


def _sound(threshold: Threshold) -> str:
    hours = threshold.hours or 0.0
    length = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    kind = "contiguous sound" if threshold.basis == "streams" else "loose clips"
    return f"{length} of {kind}"


def _default(clips: ClipScores, streams: StreamScores | None) -> float:
    if streams is None or streams.least_per_day > clips.least_per_day:
        return default_rate(clips)
    return default_rate(streams)


def _threshold(
    level: float,
    method: Literal["quantile", "gamma", "tail"],
    wanted: float,
    normal: NormalScores,
    scores: npt.NDArray[np.float64],
    recordings: int | None,
) -> Threshold:
    rate = normal.rate(level)
    rule = normal.rule
    return Threshold(
        raise_level=level,
        clear_level=level - CLEAR_BELOW,
        method=method,
        window_rate=min(1.0, rate.window_rate),
        false_alarms_per_day=rate.expected,
        wanted_per_day=wanted,
        extrapolated=level > float(scores[-1]),
        upper_per_day=rate.upper,
        least_per_day=normal.least_per_day,
        attainable=wanted >= normal.least_per_day * (1 - ROUNDING),
        basis=normal.basis,
        hours=normal.hours,
        recordings=recordings,
        rule=AlarmRule(**asdict(rule)),
    )


def _gamma_level(scores: npt.NDArray[np.float64]) -> float:
    from scipy import stats

    # A gamma distribution is above zero; standardised scores are not, so its location is fitted as well.
    low = float(scores.min()) - 1e-3 - 0.1 * float(scores.std())
    shape, _, scale = stats.gamma.fit(scores - low, floc=0.0)
    return float(low + stats.gamma.ppf(GAMMA_QUANTILE, shape, scale=scale))
