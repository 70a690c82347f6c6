"""Drift: a slow trend of a monitor's normal scores over days.

Each day counts by the median of its minutes, which faults of minutes and hours hardly move. The slope is the Theil-Sen
estimate (Sen 1968): the median of the slopes of all pairs of days, with an interval from a bootstrap of residuals. A
trend is a note for a person and never an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

STRETCHES = (28, 21, 14, 10)
"""Lengths that a trend is looked for at, in days: fewer than ten know their own scatter too badly."""
LEAST_MINUTES = 30
"""Scored minutes that make a day count."""
DRAWS = 500
LEAST_SHARE = 0.25
"""Share of the way from the usual score to the raise level that a trend must cover: less is no reason to look."""
CONFIDENCE = 0.999
"""Confidence of the interval: many monitors are asked every day, at several lengths; 95 % would report weekly."""


@dataclass(frozen=True)
class Drift:
    """A trend that is more than chance.

    Attributes:
        days: Days that it has lasted.
        per_day: Theil-Sen slope, in units of the score.
        low: Lower limit of the slope.
        high: Upper limit of the slope.
        share: Part of the distance between the first days' score and the raise level that it has covered.
    """

    days: int
    per_day: float
    low: float
    high: float
    share: float

    @property
    def text(self) -> str:
        """The trend in words, such as `rising for 9 days`."""
        return f"{'rising' if self.per_day > 0 else 'falling'} for {self.days} days"


def daily_medians(
    utc: npt.NDArray[np.float64], mean: npt.NDArray[np.floating], scored: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return days and the medians of their minutes' mean scores.

    Args:
        utc: Start of each minute, shape (minutes,).
        mean: Mean score of each minute, likewise.
        scored: Scored windows of each minute, likewise.

    Returns:
        Days since 1970 and medians, both of shape (days,); days with too few minutes are left out.
    """
    judged = scored > 0
    days = np.floor(utc[judged] / 86_400.0).astype(np.int64)
    values = np.asarray(mean, dtype=np.float64)[judged]
    found, counts = np.unique(days, return_counts=True)
    found = found[counts >= LEAST_MINUTES]
    return found, np.array([np.median(values[days == day]) for day in found], dtype=np.float64)


def drift(days: Sequence[int] | npt.NDArray[np.int64], medians: Sequence[float] | npt.NDArray[np.float64], level: float,
          *, seed: int = 0) -> Drift | None:  # fmt: skip
    """Return the trend that lasts to the newest day; None where there is none that is more than chance.

    Of the stretches of `STRETCHES` days that end with the newest day, the longest with a sure slope counts.

    Args:
        days: Days since 1970, ascending; days without sound are missing.
        medians: Score of each day, shape (days,).
        level: Raise level.
        seed: Of the bootstrap, so that the same days give the same answer.
    """
    day, score = np.asarray(days, dtype=np.float64), np.asarray(medians, dtype=np.float64)
    for length in STRETCHES:
        if len(day) < length:
            continue
        x, y = day[-length:], score[-length:]
        slope = theil_sen(x, y)
        span = x[-1] - x[0]
        start = float(np.median(y) - slope * (np.median(x) - x[0]))
        share = slope * span / (level - start) if level > start else 0.0
        if abs(share) < LEAST_SHARE:
            continue
        low, high = interval(x, y, seed)
        if low > 0 or high < 0:
            return Drift(int(span) + 1, slope, low, high, float(share))
    return None


def theil_sen(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Return the median of the slopes of all pairs of points, shape (n,) each."""
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))


def interval(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Return the limits of the slope.

    The spread of the slope comes from residuals drawn around the fitted line. It is widened for the likeness of
    neighbouring days (variance of a mean of an AR(1) process, with the correction of its lag-1 correlation for few
    points) and by Student's t, since few days know their own scatter badly.
    """
    rng = np.random.default_rng(seed)
    n, slope = len(x), theil_sen(x, y)
    residuals = y - slope * x
    residuals = (residuals - np.median(residuals)) * np.sqrt(n / (n - 2))
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    lag = float(centred[1:] @ centred[:-1]) / power if power > 0 else 0.0
    likeness = min(max(lag + (1.0 + 4.0 * lag) / n, 0.0), 0.95)
    slopes = np.array([theil_sen(x, residuals[p]) for p in rng.integers(0, n, (DRAWS, n))])
    spread = float(slopes.std()) * np.sqrt((1.0 + likeness) / (1.0 - likeness))
    half = _student(1.0 - (1.0 - CONFIDENCE) / 2.0, n - 2) * spread
    return float(slope - half), float(slope + half)


def _student(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t by Cornish and Fisher's expansion; scipy.stats imports slowly."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / freedom**i for i, term in enumerate(terms)))
