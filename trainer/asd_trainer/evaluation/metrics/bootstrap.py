"""Intervals of metrics: stratified bootstrap over recordings, paired where two systems scored the same clips.

Clips of one recording are not independent, so that recordings are drawn whole (cluster bootstrap; Davison and Hinkley
1997, section 3.8). A bootstrap cannot show an error that the sample has none of: close to a perfect score its draws
come from a beta distribution instead, whose limit for a perfect score is the exact one of Clopper and Pearson (1934).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from asd_trainer.evaluation.metrics.roc import EPSILON, MAX_FPR, auc, harmonic_mean, pauc

Array = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
DRAWS = 1000
"""Resamples: the usual least number for percentile limits (Efron and Tibshirani 1993)."""
LEAST_ERRORS = 1.0
"""Independent pairs in the wrong (or right) order below which draws come from a beta distribution: with fewer than one,
many resamples have none."""
_BLOCK = 2_000_000
"""Clips times draws that are in memory at once; an array of their weights takes 32 MB."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """Scores of one machine, section and domain.

    Attributes:
        normal: Scores of normal clips, shape (n,).
        anomalous: Scores of anomalous clips, shape (m,).
        normal_recordings: Number of the recording of each normal clip, from 0 on, shape (n,). None: one clip each.
        anomalous_recordings: The same for anomalous clips, shape (m,).
    """

    normal: Array
    anomalous: Array
    normal_recordings: Groups | None = None
    anomalous_recordings: Groups | None = None

    @property
    def units(self) -> tuple[int, int]:
        """Numbers of independent normal and anomalous units: recordings, or clips where there is one recording."""
        return _units(self.normal_recordings, len(self.normal)), _units(self.anomalous_recordings, len(self.anomalous))


def resampled(cell: Cell, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return AUC and pAUC of a cell under resampling of its recordings, each of shape (draws,).

    Normal and anomalous recordings are resampled separately (Efron and Tibshirani 1993). The same generator state draws
    the same clips from the cell of another system, which pairs the two.
    """
    n, m = len(cell.normal), len(cell.anomalous)
    block = max(1, _BLOCK // (n + m))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    drawn = [_drawn(cell, size, rng) for size in sizes]
    quantiles = rng.random(draws)
    normal, anomalous = cell.units
    top = min(int(np.ceil(MAX_FPR * normal)), anomalous)
    areas = _bounded(auc(cell.normal, cell.anomalous), min(normal, anomalous), quantiles)
    share = _share_of(pauc(cell.normal, cell.anomalous))
    # Close to 1 the few highest normal clips limit what is known, close to 0 the anomalous ones.
    shares = _bounded(share, top if share > 0.5 else anomalous, quantiles)
    return (
        np.concatenate([d[0] for d in drawn]) if areas is None else areas,
        np.concatenate([d[1] for d in drawn]) if shares is None else _partial_of(shares),
    )


def _bounded(share: float, pairs: int, quantiles: Array) -> Array | None:
    """Return draws of the share of pairs in the right order where it is close to 0 or 1, shape (draws,).

    With a = s · k + (1 - s) and b = (1 - s) · k + s for a share s of k pairs, a perfect share has the exact lower
    limit 0.025^(1/k), and one half has the limits of Jeffreys.

    Args:
        share: Share of pairs in the right order, 0 to 1.
        pairs: Number of independent pairs: no clip is in two of them.
        quantiles: Uniform random numbers, shape (draws,).
    """
    if min(share, 1.0 - share) * pairs >= LEAST_ERRORS:
        return None
    return np.asarray(betaincinv(share * pairs + 1.0 - share, (1.0 - share) * pairs + share, quantiles))


def _share_of(partial: float) -> float:
    """Return the area under the partial curve as a share of its range, 0 to 1, from the standardised one."""
    chance = MAX_FPR * MAX_FPR / 2.0
    return min(1.0, max(0.0, ((2.0 * partial - 1.0) * (MAX_FPR - chance) + chance) / MAX_FPR))


def _partial_of(share: Array) -> Array:
    """Return the standardised partial area of a share, the inverse of `_share_of`."""
    chance = MAX_FPR * MAX_FPR / 2.0
    return np.asarray(np.minimum(1.0, 0.5 * (1.0 + (share * MAX_FPR - chance) / (MAX_FPR - chance))))


def _drawn(cell: Cell, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    n, m = len(cell.normal), len(cell.anomalous)
    times = np.zeros((draws, 2, n + m))
    times[:, 0, :n] = _weights(cell.normal_recordings, n, draws, rng)
    times[:, 1, n:] = _weights(cell.anomalous_recordings, m, draws, rng)
    scores = np.concatenate([cell.normal, cell.anomalous])
    order = np.argsort(-scores, kind="stable")
    first_of_tie = np.append(0, np.flatnonzero(np.diff(scores[order])) + 1)
    rates = np.cumsum(np.add.reduceat(times[:, :, order], first_of_tie, axis=2), axis=2)
    fpr, tpr = np.pad(rates, ((0, 0), (0, 0), (1, 0))).transpose(1, 0, 2)
    width, mean_height = np.diff(fpr), (tpr[:, 1:] + tpr[:, :-1]) / 2.0
    # Weights sum to 1 up to rounding, and so do areas.
    return np.clip((width * mean_height).sum(axis=1), 0.0, 1.0), np.minimum(_standardised_partial(fpr, tpr), 1.0)


def _weights(recordings: Groups | None, clips: int, draws: int, rng: np.random.Generator) -> Array:
    """Return the weight of each clip in each resample of the recordings, shape (draws, clips); rows sum to 1."""
    units = _units(recordings, clips)
    times = _times(rng.integers(units, size=(draws, units)))
    weights = times if recordings is None or units == clips else times[:, recordings]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _units(recordings: Groups | None, clips: int) -> int:
    found = clips if recordings is None else int(recordings.max()) + 1
    return found if found > 1 else clips


def _times(picked: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how often each of n units was drawn in each resample, shape (draws, n) to (draws, n)."""
    draws, n = picked.shape
    flat = picked + np.arange(draws)[:, None] * n
    return np.bincount(flat.ravel(), minlength=draws * n).reshape(draws, n)


def _standardised_partial(fpr: Array, tpr: Array, p: float = MAX_FPR) -> Array:
    """Return `pauc` of many curves, shape (draws, points) to (draws,)."""
    left, right = fpr[:, :-1], fpr[:, 1:]
    inside = np.minimum(right, p) - np.minimum(left, p)
    slope = np.divide(np.diff(tpr), right - left, out=np.zeros_like(inside), where=right > left)
    area = (inside * (tpr[:, :-1] + slope * inside / 2.0)).sum(axis=1)
    chance = p * p / 2.0
    standardised: Array = 0.5 * (1.0 + (area - chance) / (p - chance))
    return standardised


def cell_intervals(cell: Cell, draws: int = DRAWS, seed: int = 0) -> tuple[Interval, Interval]:
    """Return AUC and pAUC with their intervals."""
    drawn = resampled(cell, draws, np.random.default_rng(seed))
    return interval(auc(cell.normal, cell.anomalous), drawn[0]), interval(pauc(cell.normal, cell.anomalous), drawn[1])


def mean_interval(cells: Sequence[Cell], draws: int = DRAWS, seed: int = 0) -> Interval:
    """Return the harmonic mean over the AUCs and pAUCs of all cells, with its interval."""
    return interval(_mean(cells), _means(cells, draws, seed))


def paired_difference(a: Sequence[Cell], b: Sequence[Cell], draws: int = DRAWS, seed: int = 0) -> Interval:
    """Return the difference of the harmonic means of two systems on the same clips, a - b, with its interval.

    Args:
        a: Cells of one system.
        b: Cells of the other system, with the same clips in the same order.
        draws: Number of resamples.
        seed: Seed of the resampling.

    Raises:
        ValueError: The cells differ in size, so that they cannot hold the same clips.
    """
    sizes = [[(len(c.normal), len(c.anomalous)) for c in cells] for cells in (a, b)]
    if sizes[0] != sizes[1]:
        raise ValueError("the systems were not scored on the same clips")
    return interval(_mean(a) - _mean(b), _means(a, draws, seed) - _means(b, draws, seed))


def _mean(cells: Sequence[Cell]) -> float:
    return harmonic_mean([v for c in cells for v in (auc(c.normal, c.anomalous), pauc(c.normal, c.anomalous))])


def _means(cells: Sequence[Cell], draws: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return harmonic_means(np.concatenate([np.stack(resampled(c, draws, rng)) for c in cells]))


def harmonic_means(values: Array) -> Array:
    """Return the harmonic mean of each column, shape (values, draws) to (draws,)."""
    means: Array = len(values) / np.sum(1.0 / np.maximum(values, EPSILON), axis=0)
    return np.asarray(np.minimum(means, values.max(axis=0)))


def interval(value: float, drawn: Array) -> Interval:
    """Return a value with the 95 % percentile interval of its resamples, shape (draws,); it contains the value."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, min(float(low), value), max(float(high), value))
