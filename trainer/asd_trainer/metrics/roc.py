"""AUC and standardised partial AUC, precision, recall and F1, as the official evaluators compute them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
MAX_FPR = 0.1
"""p of the partial AUC."""


def auc(normal: Scores, anomalous: Scores) -> float:
    """Area under the ROC curve: the chance that an anomalous clip scores above a normal one, ties counting half.

    Args:
        normal: Scores of normal clips, shape (n,), n ≥ 1.
        anomalous: Scores of anomalous clips, shape (m,), m ≥ 1.
    """
    order = np.sort(np.asarray(normal, dtype=np.float64))
    x = np.asarray(anomalous, dtype=np.float64)
    below = np.searchsorted(order, x, side="left")
    not_above = np.searchsorted(order, x, side="right")
    return float((below + not_above).sum() / (2.0 * len(order) * len(x)))


def pauc(normal: Scores, anomalous: Scores, p: float = MAX_FPR) -> float:
    """Partial AUC up to false-positive rate p, standardised after McClish (1989) to 0.5 for chance and 1 at best."""
    fpr, tpr = roc_curve(normal, anomalous)
    stop = int(np.searchsorted(fpr, p, side="right"))
    edge = float(np.interp(p, fpr[stop - 1 : stop + 1], tpr[stop - 1 : stop + 1]))
    area = float(np.trapezoid(np.append(tpr[:stop], edge), np.append(fpr[:stop], p)))
    chance = p * p / 2.0
    return 0.5 * (1.0 + (area - chance) / (p - chance))


def roc_curve(normal: Scores, anomalous: Scores) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """False- and true-positive rates at every threshold that tells clips apart, from (0, 0) to (1, 1)."""
    scores = np.concatenate([normal, anomalous]).astype(np.float64)
    labels = np.concatenate([np.zeros(len(normal)), np.ones(len(anomalous))])
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(labels[order])[last_of_tie]
    false = 1 + last_of_tie - true
    return np.append(0.0, false / len(normal)), np.append(0.0, true / len(anomalous))


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
    """Harmonic mean; zeros count as the smallest float, as in the official evaluators."""
    x = np.maximum(np.asarray(values, dtype=np.float64), np.finfo(np.float64).eps)
    return float(len(x) / np.sum(1.0 / x))
