"""Quantiles and ratios of times, and the number of repetitions."""

import numpy as np
import pytest

from asd_agent.bench import Effort, Times, measure, measure_pairs


def test_p99_of_few_repeats_is_the_longest():
    times = Times(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0.5, 1.5, 1.0, 1.0]))
    assert (times.p50, times.p99, times.cpu) == (2.5, 9.0, 1.0)


def test_ratios_are_of_processor_time_pair_by_pair():
    wall = np.ones(3)
    mine, theirs = Times(wall, np.array([1.0, 10.0, 4.0])), Times(wall, np.array([2.0, 20.0, 8.0]))
    assert mine.ratio(theirs) == pytest.approx((0.5, 0.5, 0.5))


def test_without_time_it_is_repeated_the_least_times_after_one_that_does_not_count():
    turns = []
    times = measure(lambda: turns.append(1), Effort(seconds=0.0, least=7))
    assert (len(turns), len(times.milliseconds)) == (8, 7)


def test_two_things_are_done_turn_about():
    turns: list[str] = []
    measure_pairs(lambda: turns.append("a"), lambda: turns.append("b"), Effort(seconds=60.0, least=1, most=3))
    assert "".join(turns) == "abababab"
