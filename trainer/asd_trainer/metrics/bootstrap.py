"""How sure a measure is: stratified bootstrap over clips, paired where two systems scored the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_trainer.metrics.roc import MAX_FPR, harmonic_mean

Array = npt.NDArray[np.float64]
DRAWS = 1000


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
        normal: Shape (n,).
        anomalous: Shape (m,).
    """

    normal: Array
    anomalous: Array


def resampled(cell: Cell, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """AUC and pAUC of a cell under resampling of its clips, each of shape (draws,).

    The same generator state gives the same clips for another system's cell of the same size: that is the pairing.
    """
    n, m = len(cell.normal), len(cell.anomalous)
    pick_normal = rng.integers(n, size=(draws, n))
    pick_anomalous = rng.integers(m, size=(draws, m))
    normal, anomalous = np.sort(cell.normal[pick_normal], axis=1), cell.anomalous[pick_anomalous]
    values = [_both(normal[i], anomalous[i]) for i in range(draws)]
    auc, pauc = np.array(values).T
    return auc, pauc


def _both(normal: Array, anomalous: Array) -> tuple[float, float]:
    from asd_trainer.metrics.roc import auc, pauc

    return auc(normal, anomalous), pauc(normal, anomalous, MAX_FPR)


def cell_intervals(cell: Cell, draws: int = DRAWS, seed: int = 0) -> tuple[Interval, Interval]:
    """AUC and pAUC with their intervals."""
    auc, pauc = _both(cell.normal, cell.anomalous)
    drawn = resampled(cell, draws, np.random.default_rng(seed))
    return interval(auc, drawn[0]), interval(pauc, drawn[1])


def mean_interval(cells: Sequence[Cell], draws: int = DRAWS, seed: int = 0) -> Interval:
    """Harmonic mean over the AUCs and pAUCs of all cells, with its interval."""
    value = harmonic_mean([v for c in cells for v in _both(c.normal, c.anomalous)])
    return interval(value, _means(cells, draws, seed))


def paired_difference(a: Sequence[Cell], b: Sequence[Cell], draws: int = DRAWS, seed: int = 0) -> Interval:
    """Difference of the harmonic means of two systems on the same clips, a - b, with its interval.

    Raises:
        ValueError: The cells differ in size, so that they cannot hold the same clips.
    """
    sizes = [[(len(c.normal), len(c.anomalous)) for c in cells] for cells in (a, b)]
    if sizes[0] != sizes[1]:
        raise ValueError("the systems were not scored on the same clips")
    value = mean_interval(a, 1).value - mean_interval(b, 1).value
    return interval(value, _means(a, draws, seed) - _means(b, draws, seed))


def _means(cells: Sequence[Cell], draws: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([np.stack(resampled(c, draws, rng)) for c in cells])
    return np.array([harmonic_mean(values) for values in drawn.T])


def interval(value: float, drawn: Array) -> Interval:
    """A value with the 95 % interval of what was drawn for it, shape (draws,)."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
