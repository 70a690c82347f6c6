"""Alarms counted in a series of scores: the same as the state machine's, at every level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.alarm.counting import alarm_levels, joined, kth_largest, raises
from asd_agent.alarm.rule import Rule
from rigs.alarm_stream import CLEAR, THRESHOLD, Stream


def raised_by_machine(scores: np.ndarray, rule: Rule) -> list[int]:
    """Windows at which the agent's own state machine raises, at the rig's levels."""
    stream = Stream(rule.hop_seconds, raise_after=f"{rule.k} of {rule.n}", clear_after=rule.clear_after)
    return [i for i, score in enumerate(scores.tolist()) if "raised" in stream.hear(score)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_an_alarm_is_raised_at_the_windows_where_the_machine_raises(values, k, more, clear_after):
    rule = Rule(k=k, n=k + more, clear_after=clear_after)
    scores = np.array(values)
    assert raises(scores, THRESHOLD, CLEAR, rule) == raised_by_machine(scores, rule)


@pytest.mark.parametrize("rule", [Rule(), Rule(1, 1), Rule(3, 12), Rule(6, 8, clear_after=2)])
def test_long_series_agree_with_the_machine(rule: Rule):
    rng = np.random.default_rng(5)
    scores = 1.2 + np.convolve(rng.normal(size=3000), np.ones(6) / 2, mode="same")
    found = raises(scores, THRESHOLD, CLEAR, rule)
    assert len(found) > 20
    assert found == raised_by_machine(scores, rule)


@pytest.mark.parametrize("rule", [Rule(), Rule(1, 1), Rule(2, 5)])
def test_the_rule_fires_exactly_when_its_statistic_exceeds_the_level(rule: Rule):
    scores = np.random.default_rng(1).normal(size=400)
    y = kth_largest(scores, rule)
    for level in (0.0, 0.5, 1.0, 1.5):
        never_clears = -np.inf
        first = np.flatnonzero(y > level)
        assert raises(scores, level, never_clears, rule) == first[:1].tolist()


def test_recordings_share_neither_votes_nor_alarms():
    rule = Rule(k=2, n=3, clear_after=2)
    stretches = [np.array([0.0, 3.0]), np.array([3.0, 0.0, 0.0, 3.0, 3.0]), np.array([3.0, 3.0])]
    series = joined(stretches, rule)
    found = raises(series, 2.0, 1.0, rule)
    assert len(found) == 2  # not one across the first border; one each in the second and the third
    assert joined([], rule).size == 0
    assert raises(np.zeros(0), 2.0, 1.0, rule) == []


def test_levels_are_those_at_which_one_alarm_more_is_raised():
    rule = Rule(k=1, n=1, clear_after=1)
    scores = np.array([0.0, 5.0, 0.0, 7.0, 0.0, 6.0, 0.0, 6.5, 0.0])
    assert alarm_levels(scores, rule, 0.5, most=3).tolist() == [7.0, 6.5, 6.0]
    assert alarm_levels(scores, rule, 0.5, most=9).tolist() == [7.0, 6.5, 6.0, 5.0]
    # One excursion that dips below its clear level before it rises again is two alarms at the higher level.
    wave = np.array([0.0, 7.0, 5.0, 7.0, 0.0])
    assert alarm_levels(wave, rule, 0.5, most=9).tolist() == [7.0, 7.0]
    assert alarm_levels(wave, rule, 2.5, most=9).tolist() == [7.0]


def test_counts_agree_with_the_levels_found():
    rule = Rule()
    scores = np.convolve(np.random.default_rng(2).normal(size=5000), np.ones(2), mode="same")
    found = alarm_levels(scores, rule, 0.5, most=50)
    assert np.all(np.diff(found) <= 0)
    for rank in (1, 5, 20, 40):
        if found[rank - 1] > found[rank]:
            assert len(raises(scores, found[rank - 1], found[rank - 1] - 0.5, rule)) < rank
