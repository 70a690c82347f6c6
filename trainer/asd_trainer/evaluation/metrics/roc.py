"""AUC and standardised partial AUC, precision, recall and F1, as the official evaluators compute them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
MAX_FPR = 0.1
"""p of the partial AUC."""
EPSILON = float(np.finfo(np.float64).eps)
"""What a harmonic mean takes for smaller values, as the official evaluators do."""


def auc(normal: Scores, anomalous: Scores) -> float:
    """Area under the ROC curve: the chance that an anomalous clip scores above a normal one, ties counting half.

    Args:
        normal: Scores of normal clips, shape (n,), n ≥ 1.
        anomalous: Scores of anomalous clips, shape (m,), m ≥ 1.

    Raises:
        ValueError: A class is empty, or a score is no finite number.
    """
    normal, x = _scores(normal, anomalous)
    order = np.sort(normal)
    below = np.searchsorted(order, x, side="left")
    not_above = np.searchsorted(order, x, side="right")
    return float((below + not_above).sum() / (2.0 * len(order) * len(x)))


def pauc(normal: Scores, anomalous: Scores, p: float = MAX_FPR) -> float:
    """Partial AUC up to false-positive rate p, standardised after McClish (1989) to 0.5 for chance and 1 at best.

    Args:
        normal: Scores of normal clips, shape (n,), n ≥ 1.
        anomalous: Scores of anomalous clips, shape (m,), m ≥ 1.
        p: Above 0, at most 1.

    Raises:
        ValueError: A class is empty, a score is no finite number, or p is none of these.
    """
    if not 0.0 < p <= 1.0:
        raise ValueError(f"p = {p} does not lie above 0 and at most at 1")
    fpr, tpr = roc_curve(normal, anomalous)
    if p == 1.0:
        return float(np.trapezoid(tpr, fpr))
    stop = int(np.searchsorted(fpr, p, side="right"))
    edge = float(np.interp(p, fpr[stop - 1 : stop + 1], tpr[stop - 1 : stop + 1]))
    area = float(np.trapezoid(np.append(tpr[:stop], edge), np.append(fpr[:stop], p)))
    chance = p * p / 2.0
    return 0.5 * (1.0 + (area - chance) / (p - chance))


def roc_curve(normal: Scores, anomalous: Scores) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """False- and true-positive rates at every threshold that tells clips apart, from (0, 0) to (1, 1).

    Raises:
        ValueError: A class is empty, or a score is no finite number.
    """
    normal, anomalous = _scores(normal, anomalous)
    scores = np.concatenate([normal, anomalous])
    labels = np.concatenate([np.zeros(len(normal)), np.ones(len(anomalous))])
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(labels[order])[last_of_tie]
    false = 1 + last_of_tie - true
    return np.append(0.0, false / len(normal)), np.append(0.0, true / len(anomalous))


def _scores(normal: Scores, anomalous: Scores) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, y = np.asarray(normal, dtype=np.float64), np.asarray(anomalous, dtype=np.float64)
    if not (x.ndim == y.ndim == 1 and len(x) and len(y)):
        raise ValueError(f"scores of both classes are needed, in one dimension; got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("scores must be finite")
    return x, y


@dataclass(frozen=True)
class Decided:
    """How decisions fared."""

    precision: float
    recall: float
    f1: float


def decided(normal: npt.NDArray[np.bool_], anomalous: npt.NDArray[np.bool_]) -> Decided:
    """Precision, recall and F1 of decisions; each is 0 where its denominator is.

    Args:
        normal: Which normal clips were called anomalous.
        anomalous: Which anomalous clips were.
    """
    true, false = int(anomalous.sum()), int(normal.sum())
    precision = true / (true + false) if true + false else 0.0
    recall = true / len(anomalous) if len(anomalous) else 0.0
    f1 = 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Decided(precision, recall, f1)


def harmonic_mean(values: npt.ArrayLike) -> float:
    """Harmonic mean; values below `EPSILON` count as that.

    Raises:
        ValueError: There is no value.
    """
    x = np.maximum(np.asarray(values, dtype=np.float64), EPSILON)
    if not x.size:
        raise ValueError("no value to take the harmonic mean of")
    return float(len(x) / np.sum(1.0 / x))
