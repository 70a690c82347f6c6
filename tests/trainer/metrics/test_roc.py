"""AUC and partial AUC against scikit-learn, ties included, and intervals that hold what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from asd_trainer.metrics.bootstrap import Cell, cell_intervals, paired_difference
from asd_trainer.metrics.roc import auc, harmonic_mean, pauc

small = st.lists(st.integers(0, 8), min_size=1, max_size=40)


@settings(deadline=None)
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
