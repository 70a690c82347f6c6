"""How unlikely an observation is, from plain arrays: mixtures (Eq. 2 of the paper), distances, a classifier's (Eq. 7).

The print of Eq. 2 lacks the logarithm; the text says negative likelihood. The negative log-likelihood is used, since a
likelihood of a hundred-dimensional error under- or overflows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Density
from asd_agent.inference.bank import bank_distance

Float = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.floating]]


def log_likelihood(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Log-likelihood under a Gaussian mixture.

    Args:
        x: Observations, shape (n, dimensions).
        scorer: `weights` (K,), `means` (K, D) and `precisions_cholesky`: upper factors U with precision = U Uᵀ, shape
            (K, D, D); (1, D, D) when one covariance is shared; (K, D) for diagonal covariances.

    Returns:
        Shape (n,), natural logarithm.
    """
    weights, means, factor = scorer["weights"], scorer["means"], scorer["precisions_cholesky"]
    x64 = np.asarray(x, dtype=np.float64)
    n, d = x64.shape
    parts = np.empty((n, len(weights)))
    for k, mean in enumerate(means):
        if factor.ndim == 2:
            deviation = (x64 - mean) * factor[k]
            log_det = np.log(factor[k]).sum()
        else:
            upper = factor[min(k, len(factor) - 1)]
            deviation = (x64 - mean) @ upper
            log_det = np.log(np.diagonal(upper)).sum()
        parts[:, k] = np.log(weights[k]) + log_det - 0.5 * (d * np.log(2 * np.pi) + (deviation**2).sum(axis=1))
    top = parts.max(axis=1, keepdims=True)
    total: Float = top[:, 0] + np.log(np.exp(parts - top).sum(axis=1))
    return total


def mahalanobis(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Mahalanobis distance √((x - μ)ᵀ P (x - μ)); shapes as in `log_likelihood`, `mean` (D,), `precision` (D, D)."""
    deviation = np.asarray(x, dtype=np.float64) - scorer["mean"]
    squared: Float = np.einsum("nd,de,ne->n", deviation, scorer["precision"], deviation, optimize=True)
    return np.sqrt(np.maximum(squared, 0.0))


def posterior_distance(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """Eq. 7: γ (1 - p) + (1 - γ) d', with d' standardised by statistics of held-out normals.

    Args:
        x: Observations: posterior p of being normal, squared distance d to the normal centroid, and more that does not
            count; shape (n, dimensions).
        scorer: Scalars `gamma`, `distance_mean` and `distance_std`.

    Returns:
        Shape (n,).
    """
    x64 = np.asarray(x, dtype=np.float64)
    distance = (x64[:, 1] - scorer["distance_mean"]) / scorer["distance_std"]
    return np.asarray(scorer["gamma"] * (1 - x64[:, 0]) + (1 - scorer["gamma"]) * distance)


def anomaly_scores(x: npt.NDArray[np.floating], density: Density, scorer: Arrays) -> Float:
    """Score of every observation, higher is less normal; shape (n, dimensions) to (n,)."""
    if density == "mean":
        return np.asarray(np.mean(x, axis=1, dtype=np.float64))
    if density == "bank":
        return bank_distance(x, scorer)
    if density == "posterior_distance":
        return posterior_distance(x, scorer)
    return -log_likelihood(x, scorer) if density == "gmm" else mahalanobis(x, scorer)
