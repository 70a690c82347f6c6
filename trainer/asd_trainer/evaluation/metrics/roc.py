"""AUC and standardised partial AUC, precision, recall and F1, as the official evaluators compute them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
MAX_FPR = 0.1
"""Limit p of the false-positive rate for the partial AUC; the official value of DCASE Task 2."""
EPSILON = float(np.finfo(np.float64).eps)
"""Smallest value in a harmonic mean; smaller ones are replaced by it, as in the official evaluators."""


def auc(normal: Scores, anomalous: Scores) -> float:
    """Return the area under the ROC curve.

    It is the probability that an anomalous clip scores above a normal one; ties count half.

    Args:
        normal: Scores of normal clips, shape (n,), n ≥ 1.
        anomalous: Scores of anomalous clips, shape (m,), m ≥ 1.

    Returns:
        Area, 0 to 1.

    Raises:
        ValueError: A class is empty, or a score is not finite.

    Examples:
        >>> auc(np.array([0.1, 0.2, 0.3]), np.array([0.25, 0.4]))
        0.8333333333333334
    """
    normal, x = _scores(normal, anomalous)
    order = np.sort(normal)
    below = np.searchsorted(order, x, side="left")
    not_above = np.searchsorted(order, x, side="right")
    return float((below + not_above).sum() / (2.0 * len(order) * len(x)))


def pauc(normal: Scores, anomalous: Scores, p: float = MAX_FPR) -> float:
    """Return the partial AUC up to a false-positive rate, standardised by McClish (1989) to 0.5 for chance.

    Args:
        normal: Scores of normal clips, shape (n,), n ≥ 1.
        anomalous: Scores of anomalous clips, shape (m,), m ≥ 1.
        p: Limit of the false-positive rate, above 0 and at most 1.

    Returns:
        Standardised area, at most 1; slightly below 0.5 is possible for scores worse than chance.

    Raises:
        ValueError: A class is empty, a score is not finite, or p is outside its range.

    Examples:
        >>> normal, anomalous = np.arange(10.0), np.array([8.5, 20.0])
        >>> pauc(normal, anomalous)
        0.7368421052631579
        >>> round(pauc(normal, anomalous, p=1.0), 12), round(auc(normal, anomalous), 12)
        (0.95, 0.95)
    """
    if not 0.0 < p <= 1.0:
        raise ValueError(f"p = {p} is not above 0 and at most 1")
    fpr, tpr = roc_curve(normal, anomalous)
    if p == 1.0:
        return min(1.0, float(np.trapezoid(tpr, fpr)))
    stop = int(np.searchsorted(fpr, p, side="right"))
    edge = float(np.interp(p, fpr[stop - 1 : stop + 1], tpr[stop - 1 : stop + 1]))
    area = float(np.trapezoid(np.append(tpr[:stop], edge), np.append(fpr[:stop], p)))
    chance = p * p / 2.0
    return min(1.0, 0.5 * (1.0 + (area - chance) / (p - chance)))  # a sum of areas rounds beyond the whole


def roc_curve(normal: Scores, anomalous: Scores) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return false- and true-positive rates at every threshold that separates clips, from (0, 0) to (1, 1).

    Raises:
        ValueError: A class is empty, or a score is not finite.
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
class DecisionMetrics:
    """Metrics of decisions, each 0 to 1."""

    precision: float
    recall: float
    f1: float


def decision_metrics(normal: npt.NDArray[np.bool_], anomalous: npt.NDArray[np.bool_]) -> DecisionMetrics:
    """Return precision, recall and F1 of decisions; a value whose denominator is 0 is 0.

    Args:
        normal: True for each normal clip that was called anomalous, shape (n,).
        anomalous: True for each anomalous clip that was called anomalous, shape (m,).
    """
    true, false = int(anomalous.sum()), int(normal.sum())
    precision = true / (true + false) if true + false else 0.0
    recall = true / len(anomalous) if len(anomalous) else 0.0
    f1 = 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0
    return DecisionMetrics(precision, recall, f1)


def harmonic_mean(values: npt.ArrayLike) -> float:
    """Return the harmonic mean; values below `EPSILON` count as `EPSILON`.

    Raises:
        ValueError: There is no value.

    Examples:
        >>> harmonic_mean([0.5, 1.0])
        0.6666666666666666
    """
    x = np.maximum(np.asarray(values, dtype=np.float64), EPSILON)
    if not x.size:
        raise ValueError("a harmonic mean needs a value")
    return min(float(len(x) / np.sum(1.0 / x)), float(x.max()))  # rounding must not lift a mean above its values
