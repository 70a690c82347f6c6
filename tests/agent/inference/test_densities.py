"""Densities and pooling against numbers worked by hand and against scikit-learn; one registry of their names."""

from typing import get_args

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from asd_agent.bundle.manifest import Density, FramePooling
from asd_agent.calibrate import DensitySettings
from asd_agent.calibrate.density import FITS, choose_shrinkage, fit_density, mean_log_likelihood, shift_density
from asd_agent.errors import AsdError
from asd_agent.inference.densities import (
    DENSITIES,
    anomaly_scores,
    log_likelihood,
    mahalanobis,
    pool_frames,
    summarised,
)


def test_a_single_gaussian_by_hand():
    # N(x | 1, 2²) at x = 3: -log(2) - log(2π)/2 - 1/2
    scorer = {
        "weights": np.ones(1),
        "means": np.array([[1.0]]),
        "precisions_cholesky": np.array([[[0.5]]]),
    }
    wanted = -np.log(2.0) - 0.5 * np.log(2 * np.pi) - 0.5
    assert log_likelihood(np.array([[3.0]]), scorer)[0] == pytest.approx(wanted, abs=1e-12)
    assert anomaly_scores(np.array([[3.0]]), "gmm", scorer)[0] == pytest.approx(-wanted, abs=1e-12)


def test_two_components_by_hand():
    # 0.25 N(0 | 0, 1) + 0.75 N(0 | 2, 1) = 0.25 φ(0) + 0.75 φ(2)
    scorer = {
        "weights": np.array([0.25, 0.75]),
        "means": np.array([[0.0], [2.0]]),
        "precisions_cholesky": np.ones((2, 1)),
    }
    density = 0.25 * 0.3989422804014327 + 0.75 * 0.05399096651318806
    assert log_likelihood(np.array([[0.0]]), scorer)[0] == pytest.approx(np.log(density), abs=1e-12)


def test_far_away_the_logarithm_stays_finite():
    scorer = {
        "weights": np.ones(1),
        "means": np.zeros((1, 129)),
        "precisions_cholesky": np.ones((1, 129)),
    }
    assert np.isfinite(log_likelihood(np.full((1, 129), 1e3), scorer)).all()


@pytest.mark.parametrize("covariance", ["full", "diag", "tied"])
@pytest.mark.parametrize("components", [1, 3])
def test_a_fitted_mixture_equals_scikit_learns(covariance, components):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 10, 5)) * [0.1, 1, 2, 10, 100] + [0, 5, -5, 100, 0]
    arrays = fit_density(x, DensitySettings(components=components, covariance=covariance), seed=1)
    flat = x.reshape(-1, 5)
    mean, std = flat.mean(axis=0), flat.std(axis=0)
    reference = GaussianMixture(components, covariance_type=covariance, reg_covar=1e-3, random_state=1)
    wanted = reference.fit((flat - mean) / std).score_samples((flat - mean) / std) - np.log(std).sum()
    np.testing.assert_allclose(log_likelihood(flat, arrays), wanted, atol=1e-6)


def test_mahalanobis_by_hand():
    scorer = {"mean": np.array([1.0, 0.0]), "precision": np.array([[4.0, 0.0], [0.0, 0.25]])}
    assert mahalanobis(np.array([[2.0, 4.0]]), scorer)[0] == pytest.approx(np.sqrt(4.0 + 4.0))


def test_a_constant_dimension_neither_fails_nor_rules():
    x = np.random.default_rng(0).normal(size=(50, 1, 3))
    x[:, :, 1] = 7.0
    arrays = fit_density(x, DensitySettings(density="mahalanobis"))
    assert np.isfinite(mahalanobis(x[:, 0], arrays)).all()


def test_a_target_elsewhere_moves_the_means_and_one_alike_does_not_have_to():
    rng = np.random.default_rng(5)
    settings = DensitySettings(density="mahalanobis")
    source = fit_density(rng.normal(size=(200, 1, 4)), settings)
    away = rng.normal(size=(3, 1, 4)) + 6.0
    assert choose_shrinkage(source, away, settings) == 1.0
    moved = shift_density(source, away, 1.0)
    np.testing.assert_allclose(moved["mean"] - source["mean"], away.mean(axis=(0, 1)) - source["usual_mean"])
    np.testing.assert_array_equal(moved["precision"], source["precision"])


def test_without_a_density_the_mean_output_is_the_score_and_a_target_moves_nothing():
    settings = DensitySettings(density="mean")
    x = np.array([[[1.0, 3.0], [5.0, 7.0]]])
    scorer = fit_density(x, settings)
    assert set(scorer) == {"usual_mean", "usual_std", "frame_spread"}
    np.testing.assert_array_equal(anomaly_scores(x[0], "mean", scorer), [2.0, 6.0])
    assert choose_shrinkage(scorer, x + 5, settings) == 0.0


def test_equation_7_by_hand_and_fitted_by_the_normal_distances():
    scorer = {"gamma": np.array(0.25), "distance_mean": np.array([1.0]), "distance_std": np.array([2.0])}
    observed = np.array([[0.8, 3.0, 9.0, 9.0], [1.0, 1.0, 0.0, 0.0]])
    assert anomaly_scores(observed, "posterior_distance", scorer) == pytest.approx([0.25 * 0.2 + 0.75 * 1.0, 0.0])
    settings = DensitySettings(density="posterior_distance", gamma=0.25)
    normal = np.array([[[0.9, 1.0, 5.0]], [[0.9, 5.0, 5.0]]])  # distances of mean 3 and spread 2
    fitted = fit_density(normal, settings)
    assert anomaly_scores(np.array([[0.6, 5.0, 0.0]]), "posterior_distance", fitted) == pytest.approx(
        [0.25 * 0.4 + 0.75]
    )
    moved = shift_density(fitted, np.array([[[0.9, 7.0, 5.0]]]), 0.5)  # half-way to a distance of 7
    assert anomaly_scores(np.array([[1.0, 5.0, 0.0]]), "posterior_distance", moved) == pytest.approx([0.0])
    assert mean_log_likelihood(moved, np.array([[[0.9, 5.0, 5.0]]]), settings) > mean_log_likelihood(
        fitted, np.array([[[0.9, 5.0, 5.0]]]), settings
    )


def test_every_density_of_the_manifest_can_be_evaluated_and_fitted_and_no_other():
    assert set(DENSITIES) == set(FITS) == set(get_args(Density))
    unknown = DensitySettings.model_construct(density="copula")
    x = np.zeros((2, 3, 4))
    for refused in (
        lambda: anomaly_scores(x[0], "copula", {}),
        lambda: fit_density(x, unknown),
        lambda: choose_shrinkage({}, x, unknown),
        lambda: mean_log_likelihood({}, x, unknown),
    ):
        with pytest.raises(AsdError, match=r"density 'copula' is not known here\. Known: bank, gmm"):
            refused()


@pytest.mark.parametrize("density", get_args(Density))
def test_a_fitted_density_has_the_arrays_that_its_evaluation_needs(density: Density):
    rng = np.random.default_rng(2)
    arrays = fit_density(rng.normal(size=(12, 3, 4)), DensitySettings(density=density, components=2))
    needed = DENSITIES[density].needed
    assert {name: arrays[name].ndim in axes for name, axes in needed.items()} == dict.fromkeys(needed, True)


FRAMES = np.array([[1.0, 4.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        (FramePooling(), 2.5),
        (FramePooling(alpha=None), 4.0),
        (FramePooling(trim_low=0.25, trim_high=0.25), 2.5),
        (FramePooling(trim_high=0.25), 2.0),
        (FramePooling(trim_high=0.25, alpha=None), 3.0),
    ],
)
def test_mean_maximum_and_trimming(pooling, wanted):
    assert pool_frames(FRAMES, pooling)[0] == pytest.approx(wanted)


def test_softmax_weights_by_hand():
    # Scores 0 and log 3 with alpha 1 weigh 1 : 3.
    frames = np.array([[0.0, np.log(3.0)]])
    assert pool_frames(frames, FramePooling(alpha=1.0))[0] == pytest.approx(0.75 * np.log(3.0))


def test_alpha_counts_in_spreads_of_normal_frames_unless_a_bundle_says_raw_scores():
    """Log-likelihoods of a hundred dimensions differ by tens: alpha on them would be all but a maximum."""
    frames = np.array([[0.0, 20.0 * np.log(3.0)]])
    assert pool_frames(frames, FramePooling(alpha=1.0), 20.0)[0] == pytest.approx(15.0 * np.log(3.0))
    raw = FramePooling(alpha=1.0, unit="scores")
    assert pool_frames(frames, raw, 20.0)[0] == pytest.approx(20.0 * np.log(3.0), rel=1e-6)
    x = np.random.default_rng(0).normal(size=(30, 8, 5))
    fitted = fit_density(x, DensitySettings(density="gmm"))
    normal = anomaly_scores(x.reshape(-1, 5), "gmm", fitted)
    assert fitted["frame_spread"] == pytest.approx(normal.std())
    assert "frame_spread" not in fit_density(x[:, :1], DensitySettings(density="gmm"))


def test_a_summary_is_mean_and_spread_over_the_rows_and_the_target_moves_both():
    rng = np.random.default_rng(1)
    x = rng.normal(3.0, 2.0, size=(40, 9, 4))
    settings = DensitySettings(density="mahalanobis", summary="statistics")
    judged = summarised(x, "statistics")
    np.testing.assert_allclose(judged[:, 0], np.concatenate([x.mean(axis=1), x.std(axis=1)], axis=1))
    np.testing.assert_allclose(summarised(x, "mean")[:, 0], x.mean(axis=1))
    fitted = fit_density(x, settings)
    plain = fit_density(judged, DensitySettings(density="mahalanobis"))
    np.testing.assert_allclose(fitted["precision"], plain["precision"])
    np.testing.assert_allclose(fitted["usual_mean"], x.mean(axis=(0, 1)))  # explanations need each row's own
    target = 2.0 * x[:3] + 5.0
    moved = shift_density(fitted, target, 1.0, settings.summary)
    np.testing.assert_allclose(moved["mean"], summarised(target, "statistics").mean(axis=(0, 1)))
    np.testing.assert_allclose(moved["usual_mean"], target.mean(axis=(0, 1)))
    assert choose_shrinkage(fitted, target, settings) > 0


def test_equation_7_gives_posterior_and_distance_their_shares():
    """With posteriors close to 1, 1 - p of the print has no share beside a standardised distance."""
    rng = np.random.default_rng(2)
    q = rng.normal(-6, 1, size=200)
    normal = np.stack([1 / (1 + np.exp(q)), rng.normal(3, 0.5, size=200)], axis=1)[:, None]
    share = {}
    for density in ("logit_distance", "posterior_distance"):
        fitted = fit_density(normal, DensitySettings(density=density))
        usual = 1 / (1 + np.exp(-6))
        rows = np.array([[usual, 3.0], [1 / (1 + np.exp(-3)), 3.0], [usual, 4.5]])  # then three spreads of either
        middle, by_p, by_d = anomaly_scores(rows, density, fitted)
        share[density] = (by_p - middle) / (by_d - middle)
    assert share["logit_distance"] == pytest.approx(1.0, abs=0.15)
    assert share["posterior_distance"] < 0.05
    certain = fit_density(np.ones((5, 1, 2)), DensitySettings(density="logit_distance"))
    assert np.isfinite(anomaly_scores(np.array([[0.0, 1.0], [1.0, 1.0]]), "logit_distance", certain)).all()


def test_a_moved_equation_7_has_the_target_in_its_middle():
    settings = DensitySettings(density="logit_distance")
    fitted = fit_density(np.array([[[0.9, 1.0]], [[0.99, 5.0]]]), settings)
    target = np.array([[[0.5, 7.0]], [[0.6, 9.0]]])
    moved = shift_density(fitted, target, 1.0)
    assert anomaly_scores(target[:, 0], "logit_distance", moved).mean() == pytest.approx(0.0, abs=1e-9)


def test_huge_scores_do_not_overflow():
    assert pool_frames(np.array([[1e6, 0.0]]), FramePooling(alpha=10.0))[0] == pytest.approx(1e6)
