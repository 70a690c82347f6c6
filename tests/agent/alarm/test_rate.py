"""From scores of normal clips to levels."""

import numpy as np
import pytest
from scipy import stats

from asd_agent.alarm.rate import Rule, fit_threshold
from asd_agent.errors import DataError


def test_overlapping_windows_count_as_the_independent_ones_they_hold():
    rule = Rule(k=3, n=4, hop_seconds=5, window_seconds=10)
    assert (rule.independent(3), rule.independent(4), rule.independent(1)) == (2, 2, 1)
    assert rule.alarms_per_day(0.01) == pytest.approx(17_280 * 0.01 * 0.01)


def test_without_overlap_k_of_n_is_binomial():
    rule = Rule(k=2, n=3, hop_seconds=10, window_seconds=10)
    p = 0.05
    assert rule.alarms_per_day(p) == pytest.approx(8640 * p * (1 - (1 - p) ** 2))


def test_the_window_rate_gives_back_the_alarms_that_were_asked_for():
    rule = Rule()
    assert rule.alarms_per_day(rule.window_rate(0.5)) == pytest.approx(0.5)


def test_quantile_is_the_order_statistic_that_a_fresh_score_exceeds_at_its_rate():
    reference = np.arange(1.0, 100.0)  # 99 scores: the m-th largest is exceeded with probability m / 100
    rule = Rule(k=1, n=1, hop_seconds=10)
    got = fit_threshold(reference, alarms_per_day=8640 * 0.05, rule=rule)
    assert got.raise_level == 95.0
    assert got.window_rate == pytest.approx(0.05)
    assert got.clear_level < got.raise_level


def test_the_attainable_minimum_is_reported_when_too_little_was_heard():
    got = fit_threshold(np.arange(10.0), alarms_per_day=0.01)
    assert got.raise_level == 9.0
    assert got.false_alarms_per_day == pytest.approx(17_280 / 11**2)
    assert got.wanted_per_day == 0.01


def test_tail_finds_the_quantile_of_a_known_distribution_beyond_the_data():
    rng = np.random.default_rng(11)
    rule = Rule(k=1, n=1, hop_seconds=10)
    rate = 1e-3
    levels = [
        fit_threshold(rng.exponential(size=1000), alarms_per_day=8640 * rate, rule=rule, method="tail")
        for _ in range(50)
    ]
    assert np.median([t.raise_level for t in levels]) == pytest.approx(-np.log(rate), rel=0.1)
    assert all(t.extrapolated for t in levels)


def test_tail_refuses_fewer_than_a_hundred_clips():
    with pytest.raises(DataError, match="99 normal clips are too few"):
        fit_threshold(np.arange(99.0), alarms_per_day=1, method="tail")


def test_gamma_is_the_ninetieth_percentile():
    reference = stats.gamma.rvs(3.0, size=5000, random_state=2)
    got = fit_threshold(reference, alarms_per_day=1, method="gamma")
    assert (reference > got.raise_level).mean() == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("reference", [np.array([]), np.array([1.0, np.nan])])
def test_no_threshold_without_finite_scores(reference):
    with pytest.raises(DataError, match="no finite scores"):
        fit_threshold(reference, alarms_per_day=1)
