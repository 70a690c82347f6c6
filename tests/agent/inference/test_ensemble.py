"""Several scores as one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.manifest import Combination, Standardisation
from asd_agent.inference.ensemble import available_ensemble_score, ensemble_score, tail_score

UNIT = Standardisation(mean=0.0, std=1.0)


@pytest.mark.parametrize(("method", "wanted"), [("average", 2.0), ("median", 1.0), ("maximum", 5.0), ("minimum", 0.0)])
def test_combinations_of_z_scores(method, wanted):
    scores = np.array([[10.0], [2.0], [0.0]])  # z: (10-0)/2 = 5, (2-1)/1 = 1, 0
    by = [Standardisation(mean=0, std=2), Standardisation(mean=1, std=1), UNIT]
    assert ensemble_score(scores, by, [np.zeros(1)] * 3, Combination(method=method, scale="clip"))[0] == wanted
    assert ensemble_score(scores, by, [np.zeros(1)] * 3, Combination(method=method))[0] == wanted
    compressed = {"average": np.mean, "median": np.median, "maximum": np.max, "minimum": np.min}
    found = ensemble_score(scores, by, [np.zeros(1)] * 3, Combination(method=method, scale="log"))[0]
    assert found == pytest.approx(compressed[method](np.log([6.0, 2.0, 1.0])))


def test_one_collapsed_score_cannot_drown_the_others():
    scores = np.array([[1.0], [1.0]])
    by = [Standardisation(mean=0, std=1e-6), UNIT]
    clipped = Combination(scale="clip", clip=4.0)
    assert ensemble_score(scores, by, [np.zeros(1)] * 2, clipped)[0] == pytest.approx(2.5)
    assert ensemble_score(scores, by, [np.zeros(1)] * 2, Combination(scale="log"))[0] < 8
    assert ensemble_score(scores, by, [np.zeros(1)] * 2, Combination(clip=4.0))[0] < 30


@pytest.mark.parametrize("how", [Combination(), Combination(scale="log")])
def test_clips_far_from_normal_keep_their_order(how):
    """After a shift between sessions every clip is far off; a clip at ±20 would make all of them equal."""
    scores = np.array([[30.0, 40.0, 50.0], [100.0, 99.0, 300.0]])
    shifted = ensemble_score(scores, [UNIT] * 2, [np.zeros(1)] * 2, how)
    assert list(np.argsort(shifted)) == [0, 1, 2]
    below = ensemble_score(-scores, [UNIT] * 2, [np.zeros(1)] * 2, how)
    np.testing.assert_allclose(below, -shifted)


def test_z_scores_bend_without_a_step_or_a_kink():
    z = np.linspace(-60, 60, 120_001)
    found = ensemble_score(np.stack([z, z]), [UNIT] * 2, [np.zeros(1)] * 2, Combination())
    np.testing.assert_array_equal(found[np.abs(z) <= 20], z[np.abs(z) <= 20])
    slopes = np.diff(found) / np.diff(z)
    assert (slopes > 0.3).all()
    assert np.abs(np.diff(slopes)).max() < 1e-3


@pytest.mark.parametrize("how", [Combination(), Combination(scale="clip", clip=4.0)])
def test_a_single_score_is_only_standardised(how):
    assert ensemble_score(np.array([[50.0]]), [UNIT], [np.zeros(1)], how)[0] == 50.0


def test_tail_score_inside_the_reference_is_the_empirical_tail():
    reference = np.arange(1.0, 11.0)
    # The largest of ten has half a tenth of them at or beyond it.
    assert tail_score(np.array([10.0]), reference)[0] == pytest.approx(-np.log10(0.05))
    assert tail_score(np.array([1.0]), reference)[0] == pytest.approx(-np.log10(0.95))


@pytest.mark.parametrize(("method", "wanted"), [("average", [3.0, 4.0, 2.0]), ("maximum", [4.0, 4.0, 2.0])])
def test_parts_that_have_not_judged_are_left_out(method, wanted):
    nan = np.nan
    scores = np.array([[2.0, nan, 2.0, nan], [4.0, 4.0, nan, nan]])
    how = Combination(method=method, scale="clip")
    found = available_ensemble_score(scores, [UNIT, UNIT], [np.zeros(1)] * 2, how)
    np.testing.assert_array_equal(found, [*wanted, nan])


def test_one_of_several_ranks_is_still_a_rank():
    reference = np.arange(1.0, 11.0)
    scores = np.array([[10.0, 10.0], [np.nan, 1.0]])
    found = available_ensemble_score(scores, [UNIT, UNIT], [reference] * 2, Combination(method="ranking"))
    assert found[0] == pytest.approx(-np.log10(0.05))
    assert found[1] == pytest.approx((-np.log10(0.05) - np.log10(0.95)) / 2)


def test_with_every_part_there_it_is_the_combination_itself():
    scores = np.random.default_rng(0).normal(size=(3, 5))
    by = [Standardisation(mean=m, std=2) for m in range(3)]
    references = [np.sort(s) for s in scores]
    for method in ("average", "median", "maximum", "minimum", "ranking"):
        how = Combination(method=method)
        np.testing.assert_allclose(
            available_ensemble_score(scores, by, references, how),
            ensemble_score(scores, by, references, how),
            rtol=1e-12,
        )


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30, unique=True), st.floats(-200, 200), st.floats(0.01, 100))
def test_tail_score_is_strictly_increasing(reference, at, step):
    low, high = tail_score(np.array([at, at + step]), np.sort(reference))
    assert high > low
