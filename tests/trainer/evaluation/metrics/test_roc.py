"""AUC and partial AUC against scikit-learn, ties included, and intervals that keep their promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from asd_trainer.evaluation.metrics.bootstrap import Cell, cell_intervals, mean_interval, paired_difference, resampled
from asd_trainer.evaluation.metrics.roc import auc, harmonic_mean, pauc

small = st.lists(st.integers(0, 8), min_size=1, max_size=40)


@given(small, small)
def test_auc_and_pauc_equal_scikit_learns_with_ties(normal, anomalous):
    x, y = np.array(normal, float), np.array(anomalous, float)
    labels, scores = np.r_[np.zeros(len(x)), np.ones(len(y))], np.r_[x, y]
    assert auc(x, y) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert pauc(x, y) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), abs=1e-12)


def test_harmonic_mean_of_a_zero_is_next_to_zero_and_not_an_error():
    assert harmonic_mean([0.5, 1.0]) == pytest.approx(2 / 3)
    assert harmonic_mean([0.0, 1.0]) == pytest.approx(2 * np.finfo(float).eps)


def test_a_paired_interval_is_narrower_than_its_parts_and_excludes_zero_for_a_better_system():
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(size=100), rng.normal(size=100) + 1.0
    worse = [Cell(normal + 3 * rng.normal(size=100), anomalous + 3 * rng.normal(size=100))]
    better = [Cell(normal, anomalous)]
    difference = paired_difference(better, worse, draws=300)
    assert difference.low > 0
    assert paired_difference(better, better, draws=50).low == paired_difference(better, better, draws=50).high == 0


def test_the_interval_of_chance_holds_one_half():
    rng = np.random.default_rng(2)
    interval, _ = cell_intervals(Cell(rng.normal(size=80), rng.normal(size=80)), draws=300)
    assert interval.low < 0.5 < interval.high
    assert interval.low < interval.value < interval.high


def test_every_draw_equals_the_measure_of_the_clips_that_were_drawn():
    rng = np.random.default_rng(3)
    cell = Cell(rng.integers(9, size=47).astype(float), rng.integers(1, 10, size=31).astype(float))
    got_auc, got_pauc = resampled(cell, 25, np.random.default_rng(4))
    again = np.random.default_rng(4)
    normal, anomalous = again.integers(47, size=(25, 47)), again.integers(31, size=(25, 31))
    for i in range(25):
        x, y = cell.normal[normal[i]], cell.anomalous[anomalous[i]]
        assert got_auc[i] == pytest.approx(auc(x, y), abs=1e-12)
        assert got_pauc[i] == pytest.approx(pauc(x, y), abs=1e-12)


def test_many_clips_are_drawn_in_blocks_of_bounded_size(monkeypatch):
    rng = np.random.default_rng(5)
    cell = Cell(rng.normal(size=20), rng.normal(size=20))
    monkeypatch.setattr("asd_trainer.evaluation.metrics.bootstrap._BLOCK", 120)
    got_auc, got_pauc = resampled(cell, 10, np.random.default_rng(0))
    assert got_auc.shape == got_pauc.shape == (10,)
    assert len(np.unique(got_auc)) > 5


def test_a_partial_auc_up_to_1_is_the_whole():
    x, y = np.array([0.0, 1.0, 1.0]), np.array([1.0, 2.0])
    assert pauc(x, y, 1.0) == pytest.approx(auc(x, y))


@pytest.mark.parametrize(
    ("normal", "anomalous", "words"),
    [
        ([], [1.0], "both classes"),
        ([1.0], [], "both classes"),
        ([np.nan], [1.0], "finite"),
        ([1.0], [np.inf], "finite"),
    ],
)
@pytest.mark.parametrize("measure", [auc, pauc])
def test_what_has_no_auc_is_refused(measure, normal, anomalous, words):
    with pytest.raises(ValueError, match=words):
        measure(np.array(normal), np.array(anomalous))


def test_no_value_has_no_harmonic_mean():
    with pytest.raises(ValueError, match="needs a value"):
        harmonic_mean([])


def test_the_interval_of_a_mean_over_cells_is_narrower_than_a_cells():
    rng = np.random.default_rng(6)
    cells = [Cell(rng.normal(size=40), rng.normal(size=40) + 1.0) for _ in range(12)]
    whole, one = mean_interval(cells, draws=200), mean_interval(cells[:1], draws=200)
    assert whole.low < whole.value < whole.high
    assert whole.high - whole.low < (one.high - one.low) / 2


def test_a_paired_difference_of_other_clips_is_refused():
    a, b = Cell(np.ones(3), np.ones(3)), Cell(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="same clips"):
        paired_difference([a], [b])
