"""The tail of normal scores beyond the data: a generalised Pareto distribution above a start, and its uncertainty.

Fitted by probability-weighted moments (Hosking & Wallis, Technometrics 29, 1987). The shape is pulled towards zero, an
exponential tail: thirty excesses hardly determine it, and tails of simulated and real scores have shapes within
±0.15.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial.hermite_e import hermegauss

Float = npt.NDArray[np.float64]
LEAST_PEAKS = 30
"""A tail is not fitted to fewer excesses."""
MOST_PEAKS = 80
"""More would reach into the body of the distribution: with 200 peaks, simulated scores gave twice the wanted rate."""
SHAPE_SPREAD = 0.15
"""Spread of shapes about zero before the data are seen."""
SHAPE_VARIANCE = 1.2
"""Variance of the fitted shape times the number of excesses, for shapes near zero."""
STEEPEST, FLATTEST = -0.5, 0.5
STRAIGHT = 1.5
"""The mean excess is straight when it is within so many standard errors of the fitted line."""
FEWER = 0.8
"""Each start that is tried leaves this share of the excesses of the one before."""


@dataclass(frozen=True)
class Tail:
    """Scores above a start.

    Attributes:
        start: The tail begins above it.
        peaks: Excesses that it was fitted to.
        mean_excess: Their mean.
        shape: Of the generalised Pareto distribution; zero is exponential.
    """

    start: float
    peaks: int
    mean_excess: float
    shape: float

    def exceedance(self, level: float) -> float:
        """Return the share of peaks that exceed a level at or above the start."""
        return float(_survival(level - self.start, self.shape, self.mean_excess * (1 - self.shape)))

    def level(self, share: float) -> float:
        """Return the level that so large a share of peaks exceeds; the start for one and more."""
        if share >= 1:
            return self.start
        scale = self.mean_excess * (1 - self.shape)
        if abs(self.shape) < 1e-6:
            return self.start - scale * float(np.log(share))
        return self.start + scale / self.shape * (float(share**-self.shape) - 1)

    def shares(self, level: float) -> tuple[Float, Float]:
        """Return likely values of the share that exceeds a level, and their weights, which sum to one.

        Shape and scale are known to the errors of `peaks` excesses. Averages over these values are what to expect;
        inserting the fitted shape and scale expects too little, most of all where a rule needs several windows.

        Returns:
            Two arrays of shape (values,).
        """
        error = SHAPE_VARIANCE / self.peaks
        spread = SHAPE_SPREAD * np.sqrt(error / (SHAPE_SPREAD**2 + error))
        shapes = np.clip(self.shape + spread * _NODES, STEEPEST, FLATTEST)[:, None]
        relative = np.exp(_NODES / np.sqrt(self.peaks) - 0.5 / self.peaks)[None, :]
        found = _survival(level - self.start, shapes, self.mean_excess * (1 - shapes) * relative)
        return found.ravel(), np.outer(_WEIGHTS, _WEIGHTS).ravel()


def fit_tail(descending: npt.NDArray[np.floating], most: int = MOST_PEAKS) -> Tail | None:
    """Fit the tail of values in falling order, from a start above which the mean excess is straight.

    The start is raised from the `most`-th value on until the mean excess over higher starts is on the fitted line, or
    until 30 values are left above it.

    Args:
        descending: Shape (values,).
        most: Excesses to begin with.

    Returns:
        The tail; None where there are not 30 values above another one, or nothing but one value again and again.
    """
    peaks = min(most, len(descending) - 1)
    found = None
    while peaks >= LEAST_PEAKS:
        start = float(descending[peaks])
        excess = np.asarray(descending[:peaks], dtype=np.float64) - start
        mean = float(excess.mean())
        if mean <= 0:
            return found
        found = Tail(start, peaks, mean, _shape(excess))
        if _is_straight(excess, found):
            return found
        peaks = int(FEWER * peaks)
    return found


def level_where(rate: Callable[[float], float], wanted: float, tail: Tail) -> float:
    """Return the level in the tail at which a falling rate comes down to the wanted one, by bisection."""
    low, high = tail.start, tail.start + tail.mean_excess
    while rate(high) > wanted and high - tail.start < 1e6 * tail.mean_excess:
        low, high = high, tail.start + 2 * (high - tail.start)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rate(middle) > wanted else (low, middle)
    return high


def _shape(excess: Float) -> float:
    m = len(excess)
    ascending = np.sort(excess)
    b0 = float(ascending.mean())
    b1 = float((ascending * (1 - (np.arange(1, m + 1) - 0.35) / m)).mean())
    raw = 2.0 - b0 / (b0 - 2 * b1) if b0 - 2 * b1 > 1e-12 * b0 else STEEPEST
    weight = SHAPE_SPREAD**2 / (SHAPE_SPREAD**2 + SHAPE_VARIANCE / m)
    return float(np.clip(weight * raw, STEEPEST, FLATTEST))


def _is_straight(excess: Float, tail: Tail) -> bool:
    scale = tail.mean_excess * (1 - tail.shape)
    for quantile in (0.25, 0.5, 0.75):
        start = float(np.quantile(excess, quantile))
        higher = excess[excess > start] - start
        if len(higher) < 3:
            return False
        fitted = (scale + tail.shape * start) / (1 - tail.shape)
        if abs(float(higher.mean()) - fitted) > STRAIGHT * float(higher.std(ddof=1)) / np.sqrt(len(higher)):
            return False
    return True


def _survival(excess: float, shape: float | Float, scale: float | Float) -> Float:
    shape, scale = np.broadcast_arrays(np.asarray(shape, dtype=np.float64), np.asarray(scale, dtype=np.float64))
    ratio = max(excess, 0.0) / scale
    flat = np.abs(shape) < 1e-6
    safe = np.where(flat, 1.0, shape)
    return np.where(flat, np.exp(-ratio), np.maximum(1 + safe * ratio, 0.0) ** (-1 / safe))


_NODES, _weights = hermegauss(7)
_WEIGHTS: Float = _weights / _weights.sum()
