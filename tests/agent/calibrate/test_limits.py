"""Upper limits of alarm rates: of each domain of the clips, and none from few clips."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.alarm.normal_scores import ClipScores
from asd_agent.alarm.rate import Rule, fit_threshold, rate_text, threshold_under
from asd_agent.bundle.manifest import Threshold
from asd_agent.calibrate.compose import ThresholdSettings
from asd_agent.calibrate.learn import learn
from asd_agent.calibrate.site import SiteSound
from rigs.bundles import hum

CLIPS = 36
FEW = 12


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.stack([hum(10, 40 + i) for i in range(CLIPS)])


def threshold(windows: np.ndarray, domains: list[str]) -> tuple[Threshold, Rule]:
    sound = SiteSound(windows, [f"r{i}" for i in range(len(windows))], domains=domains)
    asked = ThresholdSettings(false_alarms_per_day=50.0)
    return learn("hum", "00", sound, "level", asked).condition.threshold, asked.rule


def test_the_limit_is_that_of_the_domain_that_shows_least(windows: np.ndarray):
    mixed, rule = threshold(windows, ["source"] * (CLIPS - FEW) + ["target"] * FEW)
    alone, _ = threshold(windows, [])
    assert mixed.raise_level == alone.raise_level
    assert mixed.false_alarms_per_day == alone.false_alarms_per_day
    assert mixed.upper_domain == "target"
    assert mixed.upper_per_day is not None
    assert alone.upper_per_day is not None
    # None of the few clips above the level is the least that they can show.
    least = ClipScores(np.zeros(FEW), rule, tailed=False).rate(1.0).upper
    assert mixed.upper_per_day >= least > alone.upper_per_day
    assert "(95 %, in target alone)" in rate_text(mixed)
    assert alone.upper_domain == ""
    assert "(95 %)" in rate_text(alone)


def test_clips_of_one_domain_have_one_limit(windows: np.ndarray):
    one, _ = threshold(windows, ["target"] * CLIPS)
    none, _ = threshold(windows, [""] * CLIPS)
    assert one == none


def test_the_limit_of_one_domain_does_not_hold_for_another_rule(windows: np.ndarray):
    mixed, _ = threshold(windows, ["source"] * (CLIPS - FEW) + ["target"] * FEW)
    other = threshold_under(mixed, np.linspace(-2, 2, CLIPS), Rule(1, 1))
    assert (other.upper_per_day, other.upper_domain) == (None, "")
    supported = other.model_copy(update={"wanted_per_day": other.least_per_day})
    assert "a day expected, no upper limit, " in rate_text(supported)


def test_a_bundle_that_states_no_limit_states_none_under_another_rule():
    stated = fit_threshold(np.linspace(-2, 2, 200), alarms_per_day=10.0)
    few = stated.model_copy(update={"upper_per_day": None})
    scores = np.linspace(-2, 2, 200)
    assert threshold_under(few, scores, Rule(1, 1)).upper_per_day is None
    assert threshold_under(stated, scores, Rule(1, 1)).upper_per_day is not None
    earlier = few.model_copy(update={"basis": None, "rule": None})
    assert threshold_under(earlier, scores, Rule(1, 1)).upper_per_day is not None


def test_rates_are_written_without_an_exponent():
    stated = fit_threshold(np.linspace(-2, 2, 12), alarms_per_day=300.0)
    assert "e+" not in rate_text(stated)
