"""Simulated scores of a healthy machine that wander, and how many alarms a level gives on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from asd_agent.alarm.counting import raises
from asd_agent.alarm.normal_scores import CLEAR_BELOW
from asd_agent.alarm.rule import SECONDS_A_DAY, Rule

Float = npt.NDArray[np.float64]
SLOW_SHARE = 0.6
"""Share of the variance that wanders; the rest is new in every second of sound."""


def wandering(days: float, rule: Rule, minutes: float, rng: np.random.Generator, *, skewed: bool = False) -> Float:
    """Return scores of overlapping windows, shape (windows,).

    Args:
        days: Length.
        rule: Hop and window.
        minutes: Correlation time of what wanders; 0 for none.
        rng: Randomness.
        skewed: A log-normal in place of a Gaussian distribution.
    """
    count = int(days * SECONDS_A_DAY / rule.hop_seconds)
    hops = max(1, round(rule.window_seconds / rule.hop_seconds))
    sums = np.cumsum(rng.standard_normal(count + hops))
    z = (sums[hops:] - sums[:-hops]) / np.sqrt(hops)
    if minutes:
        stays = np.exp(-rule.hop_seconds / (60 * minutes))
        steps = rng.standard_normal(count)
        steps[0] /= np.sqrt(1 - stays**2)
        slow = lfilter([np.sqrt(1 - stays**2)], [1, -stays], steps)
        z = np.sqrt(SLOW_SHARE) * slow + np.sqrt(1 - SLOW_SHARE) * z
    return np.asarray(np.expm1(0.35 * z) / 0.35 if skewed else z)


def alarms_a_day(levels: Sequence[float], scores: Float, rule: Rule, points: int = 24) -> Float:
    """Return the alarms a day that each level gives on a long series, from counts at some levels between them."""
    days = len(scores) * rule.hop_seconds / SECONDS_A_DAY
    at = np.linspace(min(levels), max(levels), points)
    found = [max(len(raises(scores, u, u - CLEAR_BELOW, rule)), 0.5) / days for u in at.tolist()]
    return np.asarray(np.exp(np.interp(levels, at, np.log(found))))
