"""From scores of normal clips to levels."""

import numpy as np
import pytest
from scipy import stats

from asd_agent.alarm.rate import Rule, fit_threshold, rate_at, rate_text, threshold_under
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
    got = fit_threshold(reference, alarms_per_day=8640 * 0.05, rule=rule, method="quantile")
    assert got.raise_level == 95.0
    assert got.window_rate == pytest.approx(0.05)
    assert got.clear_level < got.raise_level


def test_expected_alarms_are_those_of_a_share_that_is_known_as_an_order_statistic():
    """The share above the m-th largest of n is Beta(m, n + 1 - m): the mean of its square is not its mean squared."""
    for m, n in ((1, 10), (1, 90), (3, 90), (10, 1000)):
        wanted = 17_280 * m * (m + 1) / ((n + 1) * (n + 2))
        assert Rule().expected_alarms_per_day(m, n) == pytest.approx(wanted)
    assert Rule(1, 1, hop_seconds=10).expected_alarms_per_day(2, 99) == pytest.approx(8640 * 2 / 100)


@pytest.mark.parametrize("rule", [Rule(), Rule(3, 12), Rule(2, 5, hop_seconds=10), Rule(12, 15, hop_seconds=1)])
def test_expected_alarms_are_the_mean_over_the_beta_distribution(rule: Rule):
    share = stats.beta.rvs(2, 99, size=400_000, random_state=1)
    wanted = np.mean([rule.alarms_per_day(p) for p in share[:40_000]])
    assert rule.expected_alarms_per_day(2, 100) == pytest.approx(wanted, rel=0.05)


def test_the_rank_is_the_largest_whose_expectation_is_at_most_as_wanted():
    rule = Rule()
    rank = rule.rank_for(50.0, 300)
    assert rule.expected_alarms_per_day(rank, 300) <= 50.0 < rule.expected_alarms_per_day(rank + 1, 300)
    assert rule.rank_for(0.0001, 10) == 1
    assert rule.rank_for(1e9, 10) == 10


def test_the_attainable_minimum_is_reported_when_clips_are_too_few():
    got = fit_threshold(np.arange(10.0), alarms_per_day=0.01)
    assert got.raise_level == 9.0
    assert got.false_alarms_per_day == pytest.approx(17_280 * 2 / (11 * 12))
    assert got.least_per_day == pytest.approx(17_280 * 2 / (11 * 12))
    assert (got.wanted_per_day, got.attainable, got.basis) == (0.01, False, "clips")
    assert rate_text(got) == "2 min of loose clips support no rate under 260 a day, 0.01 wanted"


def test_without_a_wish_one_a_day_or_the_least_that_is_supported_is_wanted():
    few = fit_threshold(np.linspace(-2, 2, 40))
    assert few.wanted_per_day == pytest.approx(17_280 * 2 / (41 * 42))
    assert few.attainable
    many = fit_threshold(np.linspace(-2, 2, 400))
    assert many.wanted_per_day == 1.0
    assert many.attainable


def test_0_1_a_day_takes_587_loose_clips():
    assert not fit_threshold(np.linspace(-2, 2, 586), alarms_per_day=0.1).attainable
    assert fit_threshold(np.linspace(-2, 2, 587), alarms_per_day=0.1).attainable


def test_one_odd_clip_does_not_set_the_level_where_a_tail_can():
    scores = np.append(np.random.default_rng(4).normal(size=74), 12.0)
    assert fit_threshold(scores, method="quantile").raise_level == 12.0
    assert fit_threshold(scores).raise_level < 8.0


def test_a_threshold_says_what_it_rests_on():
    got = fit_threshold(np.random.default_rng(3).normal(size=300), alarms_per_day=10.0, recordings=6)
    assert (got.basis, got.recordings) == ("clips", 6)
    assert got.hours == pytest.approx(300 * 10 / 3600)
    assert got.rule is not None
    assert (got.rule.k, got.rule.n, got.rule.hop_seconds, got.rule.clear_after) == (3, 4, 5.0, 4)
    assert got.false_alarms_per_day < got.upper_per_day
    assert "at most" in rate_text(got)


def test_a_rule_that_is_harder_to_satisfy_has_a_lower_level_for_the_same_rate():
    scores = np.random.default_rng(3).normal(size=1000)
    levels = [
        fit_threshold(scores, alarms_per_day=1.0, rule=rule).raise_level
        for rule in (Rule(1, 1), Rule(3, 4), Rule(6, 8))
    ]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > levels[2] + 1


def test_the_rate_at_a_level_is_that_of_the_monitors_own_rule():
    scores = np.random.default_rng(3).normal(size=300)
    level = fit_threshold(scores, alarms_per_day=5.0).raise_level
    own, rests_on = rate_at(level, scores, Rule())
    assert own.expected == pytest.approx(5.0, rel=0.01)
    assert rests_on.basis == "clips"
    eager, _ = rate_at(level, scores, Rule(1, 1))
    assert eager.expected > 50
    calm, _ = rate_at(level, scores, Rule(6, 8))
    assert calm.expected < 0.5


def test_tail_finds_the_quantile_of_a_known_distribution_beyond_the_data():
    rng = np.random.default_rng(11)
    rule = Rule(k=1, n=1, hop_seconds=10)
    rate = 1e-3
    found = [
        fit_threshold(rng.exponential(size=1000), alarms_per_day=8640 * rate, rule=rule, method="tail")
        for _ in range(50)
    ]
    assert np.median([t.raise_level for t in found]) == pytest.approx(-np.log(rate), rel=0.1)
    assert {t.method for t in found} == {"tail"}


def test_tail_refuses_fewer_than_sixty_clips():
    with pytest.raises(DataError, match="59 normal clips are too few"):
        fit_threshold(np.arange(59.0), alarms_per_day=1, method="tail")
    assert fit_threshold(np.arange(59.0), alarms_per_day=1, method="auto").method == "quantile"


def test_gamma_is_the_ninetieth_percentile():
    reference = stats.gamma.rvs(3.0, size=5000, random_state=2)
    got = fit_threshold(reference, alarms_per_day=1, method="gamma")
    assert (reference > got.raise_level).mean() == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("reference", [np.array([]), np.array([1.0, np.nan])])
def test_no_threshold_without_finite_scores(reference):
    with pytest.raises(DataError, match="no finite scores"):
        fit_threshold(reference, alarms_per_day=1)


def test_the_same_level_has_other_rates_under_another_rule():
    scores = np.random.default_rng(3).normal(size=300)
    made = fit_threshold(scores, alarms_per_day=5.0)
    assert threshold_under(made, scores, Rule()) == made
    eager = threshold_under(made, scores, Rule(1, 1))
    assert eager.raise_level == made.raise_level
    assert eager.false_alarms_per_day > 10 * made.false_alarms_per_day
    assert eager.rule is not None
    assert eager.rule.k == 1
    assert threshold_under(made, scores, Rule(6, 8)).false_alarms_per_day < made.false_alarms_per_day / 5
