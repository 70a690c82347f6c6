"""Levels from a day of contiguous sound keep their word also where scores wander for minutes."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.alarm.normal_scores import StreamScores
from asd_agent.alarm.rule import Rule
from rigs.wandering import alarms_a_day, wandering

RUNS = 30
FRESH_DAYS = {5.0: 300, 1.0: 60}
"""Alarms are counted in so much sound: 30 and 6 at the rarest rate."""
RULES = {"3 of 4": Rule(), "1 of 1": Rule(1, 1), "3 of 12": Rule(3, 12), "3 of 4 at hop 1 s": Rule(hop_seconds=1.0)}


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "skewed"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("minutes", [0, 1, 10])
def test_a_day_of_sound_gives_levels_within_a_factor_of_three(rule: Rule, minutes: int, *, skewed: bool):
    rng = np.random.default_rng([minutes, rule.k, rule.n, round(rule.hop_seconds), skewed])
    fresh = wandering(FRESH_DAYS[rule.hop_seconds], rule, minutes, rng, skewed=skewed)
    days = [StreamScores([wandering(1.0, rule, minutes, rng, skewed=skewed)], rule) for _ in range(RUNS)]
    for wanted in (1.0, 0.1):
        got = alarms_a_day([day.level(wanted) for day in days], fresh, rule)
        assert wanted / 3 < np.median(got) < 3 * wanted, (wanted, np.sort(got))
