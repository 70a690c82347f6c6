"""From the scores of normal clips to the levels at which an alarm is raised and cleared.

A user states false alarms per day after k-of-n. Windows that overlap share sound, so k windows are worth only
k' = 1 + ⌊(k-1)·hop / window⌋ independent ones, and n likewise n'; an alarm begins at a bad window with k'-1 more among
the n'-1 before it. That gives the share of normal windows that may lie above the raise level, and from held-out
scores the level itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Threshold
from asd_agent.errors import DataError

Scores = npt.NDArray[np.floating]
Method = Literal["quantile", "gamma", "tail"]

SECONDS_A_DAY = 86_400.0
CLEAR_BELOW = 0.5
"""The clear level lies this many reference spreads below the raise level."""
TAIL_CLIPS = 100
"""A tail is not fitted to fewer scores."""
GAMMA_QUANTILE = 0.9
"""Of the official baselines' decision threshold."""


@dataclass(frozen=True)
class Rule:
    """How windows become alarms: k of the last n, one window every hop."""

    k: int = 3
    n: int = 4
    hop_seconds: float = 5.0
    window_seconds: float = 10.0

    def independent(self, count: int) -> int:
        """How many windows without common sound `count` successive ones are worth."""
        return 1 + math.floor((count - 1) * self.hop_seconds / self.window_seconds + 1e-9)

    def alarms_per_day(self, window_rate: float) -> float:
        """Expected alarms a day if this share of normal windows is bad."""
        k, n = self.independent(self.k), self.independent(self.n)
        others = sum(math.comb(n - 1, i) * window_rate**i * (1 - window_rate) ** (n - 1 - i) for i in range(k - 1, n))
        return SECONDS_A_DAY / self.hop_seconds * window_rate * others

    def window_rate(self, alarms_per_day: float) -> float:
        """The share of bad normal windows that gives so many alarms a day; at most a half."""
        low, high = 0.0, 0.5
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if self.alarms_per_day(middle) < alarms_per_day else (low, middle)
        return low


def fit_threshold(
    reference: Scores, *, alarms_per_day: float, rule: Rule | None = None, method: Method = "quantile"
) -> Threshold:
    """Raise and clear level from scores of normal clips that no fit has seen.

    Args:
        reference: Standardised scores, shape (clips,), in any order.
        alarms_per_day: Wanted false alarms a day after k-of-n.
        rule: k of n, hop and window.
        method: `quantile` takes an order statistic and never lies beyond the largest score; `tail` goes on with a
            generalised Pareto distribution; `gamma` is the official baselines' way (90th percentile, rate not asked).

    Raises:
        DataError: No finite scores, or fewer than 100 for `tail`.
    """
    rule = rule or Rule()
    scores = np.sort(np.asarray(reference, dtype=np.float64))
    if len(scores) == 0 or not np.isfinite(scores).all():
        raise DataError("no finite scores of normal clips to set a threshold by", "Give more normal recordings.")
    n = len(scores)
    wanted = rule.window_rate(alarms_per_day)
    extrapolated = wanted < 3.0 / n
    if method == "quantile":
        # With the m-th largest of n as level, a fresh score exceeds it with probability m / (n + 1).
        m = max(1, math.floor(wanted * (n + 1)))
        level, rate = float(scores[n - m]), m / (n + 1)
        extrapolated = False
    elif method == "tail":
        level, rate = _pareto_level(scores, wanted), wanted
    else:
        level, rate, extrapolated = _gamma_level(scores), 1 - GAMMA_QUANTILE, False
    return Threshold(
        raise_level=level,
        clear_level=level - CLEAR_BELOW,
        method=method,
        window_rate=rate,
        false_alarms_per_day=rule.alarms_per_day(rate),
        wanted_per_day=alarms_per_day,
        extrapolated=extrapolated,
    )


def _pareto_level(scores: npt.NDArray[np.float64], rate: float) -> float:
    """Peaks over the 90th percentile, generalised Pareto by probability-weighted moments (Hosking & Wallis 1987)."""
    n = len(scores)
    if n < TAIL_CLIPS:
        raise DataError(
            f"{n} normal clips are too few to fit a tail, which takes {TAIL_CLIPS}",
            "Use the method 'quantile'.",
        )
    start = scores[n - n // 10 - 1]
    share = (n // 10) / n
    if rate >= share:
        return float(np.quantile(scores, 1 - rate))
    excess = scores[n - n // 10 :] - start
    m = len(excess)
    b0 = float(excess.mean())
    b1 = float((excess * (1 - (np.arange(1, m + 1) - 0.35) / m)).mean())
    if b0 - 2 * b1 <= 1e-12:
        return float(scores[-1])
    shape = min(2.0 - b0 / (b0 - 2 * b1), 0.5)
    scale = 2 * b0 * b1 / (b0 - 2 * b1)
    ratio = rate / share
    beyond = -scale * math.log(ratio) if abs(shape) < 1e-6 else scale / shape * (ratio**-shape - 1)
    return float(start + beyond)


def _gamma_level(scores: npt.NDArray[np.float64]) -> float:
    from scipy import stats

    # A gamma distribution lives above zero; standardised scores do not, so its location is fitted as well.
    low = float(scores.min()) - 1e-3 - 0.1 * float(scores.std())
    shape, _, scale = stats.gamma.fit(scores - low, floc=0.0)
    return float(low + stats.gamma.ppf(GAMMA_QUANTILE, shape, scale=scale))
