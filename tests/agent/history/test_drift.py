"""Drift: a slow trend is reported, chance and single days are not."""

from __future__ import annotations

import numpy as np

from asd_agent.history.drift import daily_medians, drift


def days_of(seed: int, likeness: float, spread: float, length: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Daily scores around 0 as an AR(1) process."""
    rng = np.random.default_rng(seed)
    found = np.zeros(length + 50)
    for i in range(1, len(found)):
        found[i] = likeness * found[i - 1] + rng.normal() * np.sqrt(1 - likeness**2)
    return found[50:] * spread


def test_a_rise_over_weeks_is_reported_with_its_slope():
    found = drift(np.arange(28), days_of(0, 0.3, 0.2, 28) + 0.06 * np.arange(28), level=4.0)
    assert found is not None
    assert found.low < 0.06 < found.high
    assert found.text == "rising for 28 days"


def test_a_fall_is_reported_as_one():
    found = drift(np.arange(14), days_of(1, 0.0, 0.1, 14) - 0.15 * np.arange(14), level=4.0)
    assert found is not None
    assert found.text.startswith("falling")


def test_days_that_scatter_are_no_trend():
    asked = [
        drift(np.arange(d), days_of(seed, likeness, 0.3, 60)[:d], level=4.0)
        for seed in range(8)
        for likeness in (0.0, 0.5)
        for d in range(10, 61, 10)
    ]
    assert sum(found is not None for found in asked) <= 2  # of 96


def test_a_trend_far_below_the_level_is_not_worth_a_report():
    assert drift(np.arange(28), 0.01 * np.arange(28), level=4.0) is None


def test_one_bad_day_is_no_trend():
    scores = np.zeros(14)
    scores[-1] = 50.0
    assert drift(np.arange(14), scores, level=4.0) is None


def test_a_day_counts_by_its_median_and_only_with_enough_minutes():
    utc = np.concatenate([60.0 * np.arange(100), 86_400.0 + 60.0 * np.arange(10)])
    mean = np.where(np.arange(110) < 40, 50.0, 1.0)
    days, medians = daily_medians(utc, mean, np.ones(110, dtype=np.int64))
    assert days.tolist() == [0]
    assert medians.tolist() == [1.0]
