"""Upper limits of alarm rates: of each operating condition of the clips, and none from few clips."""

from __future__ import annotations

import re

import numpy as np
import pytest

from asd_agent.alarm.normal_scores import ClipScores
from asd_agent.alarm.rate import Rule, fit_threshold, rate_text, threshold_under
from asd_agent.audio.recording import operating_condition_of
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


def threshold(windows: np.ndarray, operating: list[str]) -> tuple[Threshold, Rule]:
    sound = SiteSound(windows, [f"r{i}" for i in range(len(windows))], operating=operating)
    asked = ThresholdSettings(false_alarms_per_day=50.0)
    return learn("hum", "00", sound, "level", asked).condition.threshold, asked.rule


def test_the_condition_that_shows_least_has_a_limit_of_its_own(windows: np.ndarray):
    mixed, rule = threshold(windows, ["source"] * (CLIPS - FEW) + ["target"] * FEW)
    plain, _ = threshold(windows, [])
    assert (mixed.alone, plain.alone, plain.upper_alone_per_day) == ("target", "", None)
    assert mixed.upper_alone_per_day is not None
    # None of the few clips above the level is the least that they can show.
    least = ClipScores(np.zeros(FEW), rule, tailed=False).rate(1.0).upper
    assert mixed.upper_alone_per_day >= least
    assert mixed.model_copy(update={"alone": "", "upper_alone_per_day": None}) == plain
    assert re.search(r"at most \d+ \(95 %, \d+ in target alone\)", rate_text(mixed))
    assert re.search(r"at most \d+ \(95 %\)", rate_text(plain))


@pytest.mark.parametrize("operating", [["target"] * CLIPS, [""] * CLIPS, [f"run {i}" for i in range(CLIPS)]])
def test_one_condition_or_a_name_for_every_clip_has_none(windows: np.ndarray, operating: list[str]):
    assert threshold(windows, operating) == threshold(windows, [])


def test_the_limit_of_one_condition_does_not_hold_for_another_rule(windows: np.ndarray):
    mixed, _ = threshold(windows, ["source"] * (CLIPS - FEW) + ["target"] * FEW)
    other = threshold_under(mixed, np.linspace(-2, 2, CLIPS), Rule(1, 1))
    assert (other.upper_alone_per_day, other.alone) == (None, "")
    assert other.upper_per_day is not None


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("section_00_source_train_normal_0001_car_C2_spd_34V_mic_1.flac", "source car C2 spd 34V mic 1"),
        ("section_00_source_train_normal_0001_rec_20270115T0800b0s2.wav", "source"),
        ("section_00_target_train_normal_0001_vel_0.1_rec_x.wav", "target vel 0.1"),
        ("section_00_target_train_normal_0001.wav", "target"),
        ("monday.wav", ""),
        ("section_00_source_train_normal_0001_" + "a" * 300 + ".wav", ("source " + "a" * 300)[:80]),
    ],
)
def test_names_of_clips_state_the_operating_condition(name: str, stated: str):
    assert operating_condition_of(name) == stated


def test_a_bundle_that_states_no_limit_states_none_under_another_rule():
    stated = fit_threshold(np.linspace(-2, 2, 200), alarms_per_day=10.0)
    few = stated.model_copy(update={"upper_per_day": None})
    scores = np.linspace(-2, 2, 200)
    other = threshold_under(few, scores, Rule(1, 1))
    assert other.upper_per_day is None
    assert "a day expected, no upper limit, " in rate_text(other.model_copy(update={"wanted_per_day": 1e4}))
    assert threshold_under(stated, scores, Rule(1, 1)).upper_per_day is not None
    earlier = few.model_copy(update={"basis": None, "rule": None})
    assert threshold_under(earlier, scores, Rule(1, 1)).upper_per_day is not None


def test_rates_are_written_without_an_exponent():
    stated = fit_threshold(np.linspace(-2, 2, 12), alarms_per_day=300.0)
    assert "e+" not in rate_text(stated)
