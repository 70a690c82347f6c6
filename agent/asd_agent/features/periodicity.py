"""Periodicity: the period of an error over time, from its autocorrelation.

r(τ) is the share of the error's variance that is the same τ later. A period is reported only where that is the larger
share, r > 1/2, both one and two periods later, so that three events occurred at equal distances; and where r has been
below zero in between, so that neither a slow swell nor a single event counts. White noise of n values gives r of about
1/√n, far below 1/2 for a window.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

REPEATS = 0.5
"""Least autocorrelation of a period: the larger share of the variance."""
_PERIODS = 3
"""Periods in a window: two equal distances need three events."""
_SHORTEST = 2
"""Shortest period in frames; frames cannot resolve a faster rhythm."""


def period(error: npt.NDArray[np.floating]) -> float | None:
    """Find the period of an error over time, in frames.

    Args:
        error: One value a frame, shape (frames,).

    Returns:
        Shortest clear period; None where there is none.
    """
    longest = len(error) // _PERIODS
    r = autocorrelation(error, min(2 * longest + 2, len(error)))
    below = np.flatnonzero(r < 0)
    if not below.size:
        return None
    inner = np.arange(max(_SHORTEST, int(below[0]) + 1), min(longest, len(r) - 2) + 1)
    peaks = inner[(r[inner] > REPEATS) & (r[inner] >= r[inner - 1]) & (r[inner] > r[inner + 1])]
    for peak in peaks:
        exact = _vertex(r, int(peak))
        twice = round(2 * exact)
        if twice < len(r) and r[max(0, twice - 1) : twice + 2].max() > REPEATS:
            return exact
    return None


def unaliased(frames: float, level: npt.NDArray[np.floating], finer: int) -> float | None:
    """Check a period in finer steps: a rhythm too fast for frames appears in them as a slower one.

    Where the level has a rhythm within two frames that repeats for the larger share, or better than the slow one,
    that is the true one.

    Args:
        frames: Result of `period`.
        level: Level of the sound in the bands of the error, in finer steps, shape (steps,).
        finer: Steps a frame.

    Returns:
        True period in frames; None where it is a fast one that is not clear.
    """
    r = autocorrelation(level, min(round((frames + 1) * finer) + 1, len(level)))
    slow = float(r[round((frames - 0.5) * finer) :].max())
    limit = min(_SHORTEST * finer, len(r) - 2)
    below = np.flatnonzero(r[:limit] < REPEATS)
    if not below.size:
        return frames
    inner = np.arange(int(below[0]) + 1, limit + 1)
    peaks = inner[(r[inner] >= r[inner - 1]) & (r[inner] > r[inner + 1])]
    fast = max(peaks, key=lambda lag: float(r[lag]), default=None)
    if fast is not None and r[fast] > REPEATS:
        return _vertex(r, int(fast)) / finer
    return frames if fast is None or r[fast] < slow else None


def autocorrelation(values: npt.NDArray[np.floating], lags: int) -> npt.NDArray[np.float64]:
    """Compute r(τ) for τ = 0 … lags - 1, each over the pairs that exist, so that it does not fade with τ; r(0) is 1.

    A constant gives zeros.
    """
    x = np.asarray(values, dtype=np.float64) - np.mean(values)
    variance = float(x @ x) / len(x)
    if variance < 1e-12 * max(float(np.mean(np.square(values))), 1e-12):
        return np.zeros(lags)
    products = np.correlate(x, x, mode="full")[len(x) - 1 :][:lags]
    return np.asarray(products / (variance * (len(x) - np.arange(lags))))


def _vertex(r: npt.NDArray[np.float64], peak: int) -> float:
    """Vertex of the parabola through a peak and its neighbours."""
    left, top, right = r[peak - 1 : peak + 2]
    bend = left - 2.0 * top + right
    return peak + (0.5 * float(left - right) / float(bend) if bend < 0 else 0.0)
