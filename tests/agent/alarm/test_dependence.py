"""Levels from a day of contiguous sound keep their word also where scores wander for minutes."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.alarm.normal_scores import StreamScores
from asd_agent.alarm.rule import Rule
from rigs.wandering import alarms_a_day, wandering

RUNS = 60
FRESH_DAYS = {5.0: 300, 1.0: 90}
"""Alarms are counted in so much sound: 30 and 9 at the rarest rate."""
RULES = {"3 of 4": Rule(), "1 of 1": Rule(1, 1), "3 of 12": Rule(3, 12), "3 of 4 at hop 1 s": Rule(hop_seconds=1.0)}


CASES = [(rule, minutes, False) for rule in RULES for minutes in (0, 1, 10)] + [("3 of 4", 10, True)]
"""More of skewed scores in the table of `benchmarks/false_alarms.py wander`."""


@pytest.mark.parametrize(("name", "minutes", "skewed"), CASES)
def test_a_day_of_sound_gives_levels_within_a_factor_of_three(name: str, minutes: int, skewed: bool):
    rule = RULES[name]
    rng = np.random.default_rng([minutes, rule.k, rule.n, round(rule.hop_seconds), skewed])
    fresh = wandering(FRESH_DAYS[rule.hop_seconds], rule, minutes, rng, skewed=skewed)
    days = [StreamScores([wandering(1.0, rule, minutes, rng, skewed=skewed)], rule) for _ in range(RUNS)]
    for wanted in (1.0, 0.1):
        got = alarms_a_day([day.level(wanted) for day in days], fresh, rule)
        assert wanted / 3 < np.median(got) < 3 * wanted, (wanted, np.sort(got))
