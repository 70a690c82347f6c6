"""Intervals: recordings are drawn whole, perfect scores have limits, and nothing leaves the range of a metric."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_trainer.evaluation.metrics.bootstrap import Cell, cell_intervals, mean_interval, paired_difference, resampled
from asd_trainer.evaluation.metrics.roc import MAX_FPR, auc, harmonic_mean, pauc


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_perfect_separation_is_1_and_no_more(normal, anomalous):
    x, y = np.linspace(0.0, 0.7, normal), np.linspace(0.9, 1.3, anomalous)
    for value in (auc(x, y), pauc(x, y), pauc(x, y, 1.0), harmonic_mean([auc(x, y), pauc(x, y)] * 7)):
        assert 1.0 - 1e-12 < value <= 1.0
    for drawn in resampled(Cell(x, y), 20, np.random.default_rng(0)):
        assert drawn.min() >= 0.0
        assert drawn.max() <= 1.0


def test_clips_of_one_recording_are_drawn_together():
    """Ten copies of each clip hold no more than one: the interval is that of the recordings."""
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(size=30), rng.normal(size=30) + 0.8
    groups = np.repeat(np.arange(30), 10)
    copied = Cell(np.repeat(normal, 10), np.repeat(anomalous, 10), groups, groups)
    plain = Cell(np.repeat(normal, 10), np.repeat(anomalous, 10))
    one, many, loose = (cell_intervals(c, draws=2000)[0] for c in (Cell(normal, anomalous), copied, plain))
    assert many.value == pytest.approx(one.value)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)
    assert loose.high - loose.low < 0.5 * (many.high - many.low)


def test_recordings_of_unequal_length_weigh_what_they_hold():
    normal, anomalous = np.arange(20.0), np.arange(20.0) + 1.0
    groups = np.array([0] * 15 + [1] * 3 + [2] * 2)
    drawn, _ = resampled(Cell(normal, anomalous, groups, np.arange(20)), 300, np.random.default_rng(0))
    again = np.random.default_rng(0)
    picks, others = again.integers(3, size=(300, 3)), again.integers(20, size=(300, 20))
    for i in range(300):
        x = np.concatenate([normal[groups == g] for g in picks[i]])
        assert drawn[i] == pytest.approx(auc(x, anomalous[others[i]]), abs=1e-12)


def test_a_single_recording_falls_back_to_its_clips():
    rng = np.random.default_rng(3)
    cell = Cell(rng.normal(size=20), rng.normal(size=20) + 0.5, np.zeros(20, int), np.arange(20))
    found, _ = cell_intervals(cell, draws=300)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("normal", "anomalous", "units"), [(50, 80, 50), (40, 12, 12)])
def test_the_lower_limit_of_a_perfect_auc_is_the_exact_one_of_its_independent_pairs(normal, anomalous, units):
    """`units` disjoint pairs are all in order: Clopper and Pearson's lower limit is 0.025^(1/units)."""
    cell = Cell(np.linspace(0, 1, normal), np.linspace(2, 3, anomalous))
    found, partial = cell_intervals(cell, draws=4000)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / units), abs=0.02)
    top = min(int(np.ceil(MAX_FPR * normal)), anomalous)
    area, chance = MAX_FPR * 0.025 ** (1 / top), MAX_FPR**2 / 2
    assert partial.low == pytest.approx(0.5 * (1 + (area - chance) / (MAX_FPR - chance)), abs=0.03)
    assert partial.high == 1.0


def test_recordings_and_not_clips_bound_a_perfect_auc():
    groups = np.repeat(np.arange(5), 10)
    cell = Cell(np.linspace(0, 1, 50), np.linspace(2, 3, 50), groups, groups)
    assert cell_intervals(cell, draws=4000)[0].low == pytest.approx(0.025 ** (1 / 5), abs=0.04)


def test_the_reverse_of_a_perfect_auc_has_an_upper_limit():
    found, _ = cell_intervals(Cell(np.linspace(2, 3, 50), np.linspace(0, 1, 50)), draws=4000)
    assert (found.low, found.value) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50), abs=0.02)


def test_nearly_perfect_is_not_surer_than_perfect():
    normal, anomalous = np.linspace(0, 1, 50), np.linspace(2, 3, 50)
    nearly = anomalous.copy()
    nearly[0] = 0.99  # below one normal clip: one of 2500 pairs
    perfect, other = (cell_intervals(Cell(normal, y), draws=4000)[0] for y in (anomalous, nearly))
    assert other.low <= perfect.low


def test_two_perfect_systems_do_not_differ_and_their_mean_has_a_lower_limit():
    cells = [Cell(np.linspace(0, 1, 30), np.linspace(2, 3, 30) + k) for k in range(3)]
    difference = paired_difference(cells, cells, draws=200)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    found = mean_interval(cells, draws=500)
    assert found.value == found.high == 1.0
    assert 0.6 < found.low < 0.98
