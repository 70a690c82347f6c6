"""Densities: from a member's output to the score of one window, computed from plain arrays.

One registry, `DENSITIES`, holds the evaluation of each kind of density and the arrays that it needs. Fitting has a
table of its own in `asd_agent.calibrate`, with the same names: the service fits nothing and has no scikit-learn.

Equations are those of the paper. The print of Eq. 2 lacks the logarithm; its text has the negative likelihood. The
negative log-likelihood is used, because the likelihood of a hundred-dimensional error underflows or overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import FramePooling, Summary
from asd_agent.errors import AsdError

Float = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.floating]]
Registered = TypeVar("Registered")


@dataclass(frozen=True)
class DensityEvaluation:
    """Evaluation of one kind of density.

    Attributes:
        score: Anomaly score of each row, shape (rows, dimensions) to (rows,); higher is less normal.
        needed: Arrays that the scorer must hold, with the numbers of axes that each may have.
        optional: Arrays that it may hold.
    """

    score: Callable[[npt.NDArray[np.floating], Arrays], Float]
    needed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    optional: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


FRAME_SPREAD = "frame_spread"
"""Array of a scorer: spread of normal frame scores, a scalar; absent where an output has one row."""
LEAST_POSTERIOR = 1e-6
"""Posteriors nearer to 0 or 1 are rounding of 32 bits; their logit is that of this."""


def summarised(output: npt.NDArray[np.floating], summary: Summary) -> npt.NDArray[np.floating]:
    """Return what a density judges of a member's output, shape (windows, rows, dimensions).

    Returns:
        `rows`: the output itself. `mean`: shape (windows, 1, dimensions). `statistics`: mean and standard deviation
        over the rows, shape (windows, 1, 2 · dimensions).
    """
    if summary == "rows":
        return output
    x = np.asarray(output, dtype=np.float64)
    mean = x.mean(axis=1, keepdims=True)
    return mean if summary == "mean" else np.concatenate([mean, x.std(axis=1, keepdims=True)], axis=2)


def mean_output(x: npt.NDArray[np.floating], _scorer: Arrays) -> Float:
    """Mean of each row, shape (rows, dimensions) to (rows,): for members whose output is the score already."""
    return np.asarray(np.mean(x, axis=1, dtype=np.float64))


def log_likelihood(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Log-likelihood under a Gaussian mixture.

    Args:
        x: Member output, shape (rows, dimensions).
        scorer: `weights` (K,), `means` (K, D) and `precisions_cholesky`: upper factors U with precision = U Uᵀ, shape
            (K, D, D); (1, D, D) when one covariance is shared; (K, D) for diagonal covariances.

    Returns:
        Shape (rows,), natural logarithm.
    """
    weights, means, factor = scorer["weights"], scorer["means"], scorer["precisions_cholesky"]
    x64 = np.asarray(x, dtype=np.float64)
    n, d = x64.shape
    components = np.empty((n, len(weights)))
    for k, mean in enumerate(means):
        if factor.ndim == 2:
            deviation = (x64 - mean) * factor[k]
            log_det = np.log(factor[k]).sum()
        else:
            upper = factor[min(k, len(factor) - 1)]
            deviation = (x64 - mean) @ upper
            log_det = np.log(np.diagonal(upper)).sum()
        components[:, k] = np.log(weights[k]) + log_det - 0.5 * (d * np.log(2 * np.pi) + (deviation**2).sum(axis=1))
    top = components.max(axis=1, keepdims=True)
    total: Float = top[:, 0] + np.log(np.exp(components - top).sum(axis=1))
    return total


def negative_log_likelihood(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Eq. 2: negative log-likelihood under a Gaussian mixture; arguments as for `log_likelihood`."""
    return -log_likelihood(x, scorer)


def mahalanobis(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Mahalanobis distance √((x - μ)ᵀ P (x - μ)); shapes as in `log_likelihood`, `mean` (D,), `precision` (D, D)."""
    deviation = np.asarray(x, dtype=np.float64) - scorer["mean"]
    squared: Float = np.einsum("nd,de,ne->n", deviation, scorer["precision"], deviation, optimize=True)
    return np.sqrt(np.maximum(squared, 0.0))


def bank_distance(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Distance to the nearest of a bank of normal embeddings, min over m of (1 - cos(x, b_m)) / radius_m.

    Each distance is divided by the bank item's own distance to its nearest neighbour in its bank (local density
    normalisation with K = 1): where normal sound is spread wide, a wide distance means little.

    Args:
        x: Member output, shape (rows, dimensions).
        scorer: `bank`: unit vectors, shape (M, D); `radius` (M,), without which distances are plain; and `first`, a
            scalar: the column of the output where the embedding begins, 0 where it is absent.

    Returns:
        Shape (rows,).
    """
    distances = cosine_distances(embeddings(x, scorer), scorer["bank"])
    if "radius" in scorer:
        distances = distances / scorer["radius"]
    return np.asarray(distances.min(axis=1))


def embeddings(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Embeddings in a member's output as unit vectors, shape (rows, dimensions) to (rows, D)."""
    return unit(np.asarray(x)[:, int(scorer["first"]) if "first" in scorer else 0 :])


def unit(x: npt.NDArray[np.floating]) -> Float:
    """Rows at length 1; a row of zeros stays and is at distance 1 from everything."""
    x64 = np.asarray(x, dtype=np.float64)
    return np.asarray(x64 / np.maximum(np.linalg.norm(x64, axis=1, keepdims=True), 1e-12))


def cosine_distances(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> Float:
    """1 - cos of unit vectors, shapes (n, D) and (M, D) to (n, M); rounding makes none negative."""
    return np.asarray(np.maximum(1.0 - np.asarray(a, dtype=np.float64) @ np.asarray(b, dtype=np.float64).T, 0.0))


def posterior_distance(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Eq. 7: γ (1 - p) + (1 - γ) d', with d' standardised by statistics of held-out normals.

    Args:
        x: Member output: posterior p of being normal, squared distance d to the normal centroid, and further columns
            that are not used; shape (rows, dimensions).
        scorer: Scalars `gamma`, `distance_mean` and `distance_std`.

    Returns:
        Shape (rows,).
    """
    x64 = np.asarray(x, dtype=np.float64)
    distance = (x64[:, 1] - scorer["distance_mean"]) / scorer["distance_std"]
    return np.asarray(scorer["gamma"] * (1 - x64[:, 0]) + (1 - scorer["gamma"]) * distance)


def logit_distance(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Eq. 7 with both terms on one scale: γ q' + (1 - γ) d', q = -logit(p), both standardised by held-out normals.

    Posteriors close to 1 hardly differ. Beside a standardised distance, γ would not be the posterior's share.

    Args:
        x: As for `posterior_distance`.
        scorer: As for `posterior_distance`, with scalars `doubt_mean` and `doubt_std` of q.

    Returns:
        Shape (rows,).
    """
    x64 = np.asarray(x, dtype=np.float64)
    distance = (x64[:, 1] - scorer["distance_mean"]) / scorer["distance_std"]
    doubt = (doubts(x64) - scorer["doubt_mean"]) / scorer["doubt_std"]
    return np.asarray(scorer["gamma"] * doubt + (1 - scorer["gamma"]) * distance)


def doubts(x: npt.NDArray[np.floating]) -> Float:
    """Return -logit of the posteriors in the first column, shape (rows, dimensions) to (rows,)."""
    p = np.clip(np.asarray(x, dtype=np.float64)[:, 0], LEAST_POSTERIOR, 1 - LEAST_POSTERIOR)
    return np.asarray(np.log1p(-p) - np.log(p))


_EQUATION_7 = {"gamma": (0,), "distance_mean": (0, 1), "distance_std": (0, 1)}
DENSITIES: Mapping[str, DensityEvaluation] = MappingProxyType(
    {
        "gmm": DensityEvaluation(
            negative_log_likelihood, {"weights": (1,), "means": (2,), "precisions_cholesky": (2, 3)}
        ),
        "mahalanobis": DensityEvaluation(mahalanobis, {"mean": (1,), "precision": (2,)}),
        "mean": DensityEvaluation(mean_output),
        "bank": DensityEvaluation(bank_distance, {"bank": (2,)}, {"radius": (1,), "first": (0,)}),
        "posterior_distance": DensityEvaluation(posterior_distance, _EQUATION_7),
        "logit_distance": DensityEvaluation(logit_distance, {**_EQUATION_7, "doubt_mean": (0, 1), "doubt_std": (0, 1)}),
    }
)
"""Evaluation of each density by its name in the manifest."""


def registered(table: Mapping[str, Registered], name: str, noun: str) -> Registered:
    """Return a table's entry, for tables that are keyed by a name from a bundle or a recipe.

    Args:
        table: Entries by name.
        name: Wanted name.
        noun: Kind of thing that the table holds, for the message, such as `density`.

    Raises:
        AsdError: The table has no such entry.
    """
    try:
        return table[name]
    except KeyError as error:
        known = ", ".join(sorted(table))
        raise AsdError(f"{noun} {name!r} is not known here", f"Known: {known}. Upgrade the agent.") from error


def anomaly_scores(x: npt.NDArray[np.floating], density: str, scorer: Arrays) -> Float:
    """Score each row of a member's output; higher is less normal.

    Args:
        x: Member output, shape (rows, dimensions).
        density: Name of the density, one of `DENSITIES`.
        scorer: Its arrays.

    Returns:
        Shape (rows,).

    Raises:
        AsdError: No such density is registered.
    """
    return registered(DENSITIES, density, "density").score(x, scorer)


def pool_frames(frames: npt.NDArray[np.float64], pooling: FramePooling, spread: float = 1.0) -> npt.NDArray[np.float64]:
    """Pool frame scores to one score a window (Eq. 3): trimming, then a softmax-weighted mean.

    The print multiplies by 1/T' and by weights that already sum to 1. For windows of one length that is a constant
    factor, and it is left out.

    Args:
        frames: Shape (windows, frames), higher is less normal.
        pooling: Shares to trim at either end, and alpha.
        spread: Spread of normal frame scores, the unit of alpha where `pooling` counts in spreads.

    Returns:
        Shape (windows,).
    """
    count = frames.shape[1]
    low, high = int(pooling.trim_low * count), int(pooling.trim_high * count)
    kept = np.sort(frames, axis=1)[:, low : count - high]
    if pooling.alpha is None:
        return np.asarray(kept[:, -1])
    alpha = pooling.alpha / spread if pooling.unit == "spreads" else pooling.alpha
    exponent = alpha * (kept - kept.max(axis=1, keepdims=True))
    weights = np.exp(exponent)
    return np.asarray((kept * weights).sum(axis=1) / weights.sum(axis=1))
