"""Intervals of metrics: stratified bootstrap over clips, paired where two systems scored the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_trainer.evaluation.metrics.roc import EPSILON, MAX_FPR, auc, harmonic_mean, pauc

Array = npt.NDArray[np.float64]
DRAWS = 1000
"""Resamples: the usual least number for percentile limits (Efron and Tibshirani 1993)."""
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
    """

    normal: Array
    anomalous: Array


def resampled(cell: Cell, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return AUC and pAUC of a cell under resampling of its clips, each of shape (draws,).

    Normal and anomalous clips are resampled separately (Efron and Tibshirani 1993). The same generator state draws the
    same clips from the cell of another system, which pairs the two.
    """
    n, m = len(cell.normal), len(cell.anomalous)
    block = max(1, _BLOCK // (n + m))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    drawn = [_drawn(cell, size, rng) for size in sizes]
    return np.concatenate([d[0] for d in drawn]), np.concatenate([d[1] for d in drawn])


def _drawn(cell: Cell, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    n, m = len(cell.normal), len(cell.anomalous)
    times = np.zeros((draws, 2, n + m))
    times[:, 0, :n] = _times(rng.integers(n, size=(draws, n))) / n
    times[:, 1, n:] = _times(rng.integers(m, size=(draws, m))) / m
    scores = np.concatenate([cell.normal, cell.anomalous])
    order = np.argsort(-scores, kind="stable")
    first_of_tie = np.append(0, np.flatnonzero(np.diff(scores[order])) + 1)
    rates = np.cumsum(np.add.reduceat(times[:, :, order], first_of_tie, axis=2), axis=2)
    fpr, tpr = np.pad(rates, ((0, 0), (0, 0), (1, 0))).transpose(1, 0, 2)
    width, mean_height = np.diff(fpr), (tpr[:, 1:] + tpr[:, :-1]) / 2.0
    return (width * mean_height).sum(axis=1), _standardised_partial(fpr, tpr)


def _times(picked: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how often each of n clips was drawn in each resample, shape (draws, n) to (draws, n)."""
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
    drawn = np.concatenate([np.stack(resampled(c, draws, rng)) for c in cells])
    means: Array = len(drawn) / np.sum(1.0 / np.maximum(drawn, EPSILON), axis=0)
    return means


def interval(value: float, drawn: Array) -> Interval:
    """Return a value with the 95 % percentile interval of its resamples, shape (draws,)."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
