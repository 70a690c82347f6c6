"""Densities of outputs: Gaussian mixtures and shrunk Gaussians, as plain arrays for the service to evaluate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Summary
from asd_agent.calibrate.bank import extend_bank, fit_bank
from asd_agent.calibrate.settings import Arrays, DensitySettings, ModelOutputs
from asd_agent.inference.densities import (
    FRAME_SPREAD,
    anomaly_scores,
    doubts,
    log_likelihood,
    registered,
    summarised,
)

Float = npt.NDArray[np.float64]

CENTRE = "centre"
"""Array of a scorer: mean of what a summarising density judges, shape (dimensions,)."""
LEAST_SPREAD = 1e-6
"""Spread of frame scores that are all the same."""
SHRINKAGES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares by which a target's means may move: 0 keeps the source's location, 1 takes the target's own."""


def fit_density(outputs: ModelOutputs, settings: DensitySettings, seed: int = 0) -> Arrays:
    """Fit a density.

    Args:
        outputs: Output of a member, shape (clips, rows, dimensions).
        settings: Density and its settings.
        seed: Of the mixture's initialisation.

    Returns:
        Arrays for `asd_agent.inference.densities`, with `usual_mean` and `usual_std`, shape (dimensions,).

    Raises:
        AsdError: No such density is registered.
    """
    judged = summarised(outputs, settings.summary)
    fitted = _registered(settings).fit(judged, settings, seed)
    if judged.shape[1] > 1:
        spread = float(np.std(anomaly_scores(_rows(judged), settings.density, fitted)))
        fitted[FRAME_SPREAD] = np.array(max(spread, LEAST_SPREAD))
    if settings.summary == "rows":
        return fitted
    return fitted | {CENTRE: fitted["usual_mean"]} | _usual(_rows(outputs))


def _usual(x: Float) -> Arrays:
    mean, std = x.mean(axis=0), x.std(axis=0)
    std = np.where(std > 1e-8 * np.maximum(1.0, np.abs(mean)), std, 1.0)  # a constant carries no information
    return {"usual_mean": mean, "usual_std": std}


def _rows(outputs: ModelOutputs) -> Float:
    return np.asarray(outputs, dtype=np.float64).reshape(-1, outputs.shape[-1])


def _fit_mean(outputs: ModelOutputs, _settings: DensitySettings, _seed: int) -> Arrays:
    return _usual(_rows(outputs))


def _fit_posterior_distance(outputs: ModelOutputs, settings: DensitySettings, _seed: int) -> Arrays:
    usual = _usual(_rows(outputs))
    mean, std = usual["usual_mean"], usual["usual_std"]
    gamma = np.array(settings.gamma)
    return usual | {"gamma": gamma, "distance_mean": mean[1:2].copy(), "distance_std": std[1:2].copy()}


def _fit_logit_distance(outputs: ModelOutputs, settings: DensitySettings, seed: int) -> Arrays:
    doubt = _usual(doubts(_rows(outputs))[:, None])
    return _fit_posterior_distance(outputs, settings, seed) | {
        "doubt_mean": doubt["usual_mean"],
        "doubt_std": doubt["usual_std"],
    }


def _fit_mahalanobis(outputs: ModelOutputs, _settings: DensitySettings, _seed: int) -> Arrays:
    x = _rows(outputs)
    usual = _usual(x)
    mean, std = usual["usual_mean"], usual["usual_std"]
    return usual | _shrunk((x - mean) / std, mean, std)


def _fit_mixture(outputs: ModelOutputs, settings: DensitySettings, seed: int) -> Arrays:
    x = _rows(outputs)
    usual = _usual(x)
    mean, std = usual["usual_mean"], usual["usual_std"]
    return usual | _mixture((x - mean) / std, mean, std, settings, seed)


def _fit_bank(outputs: ModelOutputs, settings: DensitySettings, seed: int) -> Arrays:
    return fit_bank([outputs], settings, seed)


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


def shift_density(source: Arrays, target: ModelOutputs, share: float, summary: Summary = "rows") -> Arrays:
    """The source's density moved towards the target: its covariances with means shifted by a share of the difference.

    A bank gets the target's items beside its own, whatever the share.

    Args:
        source: A fitted density.
        target: Model outputs of a few target clips, shape (clips, rows, dimensions).
        share: 0 keeps the source's means, 1 moves them by the whole difference of the averages.
        summary: What of the outputs the density judges.
    """
    judged = summarised(target, summary)
    if "bank" in source:
        return extend_bank(source, judged)
    rows = _rows(judged)
    offset = share * (rows.mean(axis=0) - source.get(CENTRE, source["usual_mean"]))
    moved: Arrays = {k: source[k] + offset for k in ("means", "mean", CENTRE) if k in source}
    # A summary begins with the mean of the rows.
    moved["usual_mean"] = source["usual_mean"] + offset[: len(source["usual_mean"])]
    if "distance_mean" in source:
        moved["distance_mean"] = source["distance_mean"] + offset[1]
    if "doubt_mean" in source:
        moved["doubt_mean"] = source["doubt_mean"] + share * (doubts(rows).mean() - source["doubt_mean"])
    return source | moved


def choose_shrinkage(source: Arrays, target: ModelOutputs, settings: DensitySettings) -> float:
    """The share whose density, shifted by all target clips but one, finds the one left out likeliest on average.

    One clip alone does not show how it would generalise; then half of the way is taken.
    """
    fixed = _registered(settings).fixed_share
    if fixed is not None:
        return fixed
    if len(target) < 2:
        return 0.5
    return max(SHRINKAGES, key=lambda share: _left_out_likelihood(source, target, settings, share))


def _left_out_likelihood(source: Arrays, target: ModelOutputs, settings: DensitySettings, share: float) -> float:
    return sum(
        mean_log_likelihood(
            shift_density(source, np.delete(target, i, axis=0), share, settings.summary), target[[i]], settings
        )
        for i in range(len(target))
    )


def mean_log_likelihood(density: Arrays, outputs: ModelOutputs, settings: DensitySettings) -> float:
    """Mean log-likelihood of outputs under a density, up to a constant; shape (clips, rows, dimensions).

    Raises:
        AsdError: No such density is registered.
    """
    return _registered(settings).mean_log_likelihood(_rows(summarised(outputs, settings.summary)), density)


def _mixture_likelihood(x: Float, density: Arrays) -> float:
    return float(log_likelihood(x, density).mean())


def _bank_likelihood(x: Float, density: Arrays) -> float:
    return -float(anomaly_scores(x, "bank", density).mean())


def _posterior_likelihood(x: Float, density: Arrays) -> float:
    distance = (x[:, 1] - density["distance_mean"]) / density["distance_std"]
    return float(-np.log(density["distance_std"]).item() - 0.5 * np.square(distance).mean())


def _mahalanobis_likelihood(x: Float, density: Arrays) -> float:
    deviation = x - density["mean"]
    squared = np.einsum("nd,de,ne->n", deviation, density["precision"], deviation)
    return float(0.5 * (np.linalg.slogdet(density["precision"])[1] - squared.mean()))


def _no_likelihood(_x: Float, _density: Arrays) -> float:
    raise ValueError("the density `mean` has no likelihood")


@dataclass(frozen=True)
class DensityFit:
    """Fitting of one kind of density; `asd_agent.inference.densities.DENSITIES` evaluates the same names.

    Attributes:
        fit: Arrays from outputs, settings and a seed.
        mean_log_likelihood: Of rows, shape (rows, dimensions), under the arrays, up to a constant.
        fixed_share: Share by which a target always moves it; None where `choose_shrinkage` searches.
    """

    fit: Callable[[ModelOutputs, DensitySettings, int], Arrays]
    mean_log_likelihood: Callable[[Float, Arrays], float]
    fixed_share: float | None = None


FITS: Mapping[str, DensityFit] = MappingProxyType(
    {
        "gmm": DensityFit(_fit_mixture, _mixture_likelihood),
        "mahalanobis": DensityFit(_fit_mahalanobis, _mahalanobis_likelihood),
        "mean": DensityFit(_fit_mean, _no_likelihood, fixed_share=0.0),  # there is no density to move
        "bank": DensityFit(_fit_bank, _bank_likelihood, fixed_share=1.0),  # nothing moves: items are added
        "posterior_distance": DensityFit(_fit_posterior_distance, _posterior_likelihood),
        "logit_distance": DensityFit(_fit_logit_distance, _posterior_likelihood),
    }
)
"""Fitting of each density by its name in the manifest."""


def _registered(settings: DensitySettings) -> DensityFit:
    return registered(FITS, settings.density, "density")
