"""Densities of observations: Gaussian mixtures and shrunk Gaussians, as plain arrays for the service to evaluate."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from asd_agent.calibrate.bank import extend_bank, fit_bank
from asd_agent.calibrate.settings import Arrays, DensitySettings, Observations
from asd_agent.inference.densities import anomaly_scores, log_likelihood

SHRINKAGES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far a target's means may move from the source's: 0 keeps the source scorer, 1 takes the target's own location."""


def fit_density(observations: Observations, settings: DensitySettings, seed: int = 0) -> Arrays:
    """Fit a density.

    Args:
        observations: Shape (clips, rows, dimensions).
        settings: What to fit.
        seed: Of the mixture's initialisation.

    Returns:
        Arrays for `asd_agent.inference.densities`, with `usual_mean` and `usual_std`, shape (dimensions,).
    """
    if settings.density == "bank":
        return fit_bank([observations], settings, seed)
    x = np.asarray(observations, dtype=np.float64).reshape(-1, observations.shape[-1])
    mean, std = x.mean(axis=0), x.std(axis=0)
    std = np.where(std > 1e-8 * np.maximum(1.0, np.abs(mean)), std, 1.0)  # a constant says nothing
    z = (x - mean) / std
    usual = {"usual_mean": mean, "usual_std": std}
    if settings.density == "mean":
        return usual
    if settings.density == "posterior_distance":
        gamma = np.array(settings.gamma)
        return usual | {"gamma": gamma, "distance_mean": mean[1:2].copy(), "distance_std": std[1:2].copy()}
    return usual | (
        _shrunk(z, mean, std) if settings.density == "mahalanobis" else _mixture(z, mean, std, settings, seed)
    )


def _shrunk(z: npt.NDArray[np.float64], mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> Arrays:
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf(assume_centered=False).fit(z)
    return {"mean": mean + fitted.location_ * std, "precision": fitted.precision_ / np.outer(std, std)}


def _mixture(
    z: npt.NDArray[np.float64],
    mean: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
    settings: DensitySettings,
    seed: int,
) -> Arrays:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    components = min(settings.components, max(1, len(z) // 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = GaussianMixture(
            components,
            covariance_type=settings.covariance,
            reg_covar=settings.regularisation,
            random_state=seed,
        ).fit(z)
    factor = fitted.precisions_cholesky_
    factor = factor / std if settings.covariance == "diag" else np.atleast_3d(factor.T).T / std[:, None]
    return {"weights": fitted.weights_, "means": mean + fitted.means_ * std, "precisions_cholesky": factor}


def shift_density(source: Arrays, target: Observations, share: float) -> Arrays:
    """The source's density moved towards the target: its covariances with means shifted by a share of the difference.

    A bank gets the target's items beside its own, whatever the share.

    Args:
        source: A fitted density.
        target: Observations of a few target clips, shape (clips, rows, dimensions).
        share: 0 keeps the source's means, 1 moves them by the whole difference of the averages.
    """
    if "bank" in source:
        return extend_bank(source, target)
    offset = share * (
        np.asarray(target, dtype=np.float64).reshape(-1, target.shape[-1]).mean(axis=0) - source["usual_mean"]
    )
    moved: Arrays = {k: source[k] + offset for k in ("means", "mean", "usual_mean") if k in source}
    if "distance_mean" in source:
        moved["distance_mean"] = source["distance_mean"] + offset[1]
    return source | moved


def choose_shrinkage(source: Arrays, target: Observations, settings: DensitySettings) -> float:
    """The share whose density, shifted by all target clips but one, finds the one left out likeliest on average.

    One clip alone tells nothing of how it would generalise; then half of the way is taken.
    """
    if settings.density == "mean":
        return 0.0  # no density is there to move
    if settings.density == "bank":
        return 1.0  # nothing moves: items are added
    if len(target) < 2:
        return 0.5
    return max(SHRINKAGES, key=lambda share: _left_out_likelihood(source, target, settings, share))


def _left_out_likelihood(source: Arrays, target: Observations, settings: DensitySettings, share: float) -> float:
    return sum(
        mean_log_likelihood(shift_density(source, np.delete(target, i, axis=0), share), target[[i]], settings)
        for i in range(len(target))
    )


def mean_log_likelihood(density: Arrays, observations: Observations, settings: DensitySettings) -> float:
    """How likely a density finds observations, shape (clips, rows, dimensions): mean over rows, up to a constant."""
    x = np.asarray(observations, dtype=np.float64).reshape(-1, observations.shape[-1])
    if settings.density == "gmm":
        return float(log_likelihood(x, density).mean())
    if settings.density == "bank":
        return -float(anomaly_scores(x, "bank", density).mean())
    if settings.density == "posterior_distance":
        distance = (x[:, 1] - density["distance_mean"]) / density["distance_std"]
        return float(-np.log(density["distance_std"]).item() - 0.5 * np.square(distance).mean())
    deviation = x - density["mean"]
    squared = np.einsum("nd,de,ne->n", deviation, density["precision"], deviation)
    return float(0.5 * (np.linalg.slogdet(density["precision"])[1] - squared.mean()))
