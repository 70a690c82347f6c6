"""Levels from contiguous recordings: windows at the rule's hop, each scored by a fit that has none of its sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_agent.alarm.rate import Rule, fit_threshold
from asd_agent.bundle.manifest import Combination, FramePooling
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_source
from asd_agent.calibrate.compose import CalibrationSound, FittedExpert, FittedMember, ThresholdSettings, compose
from asd_agent.calibrate.condition import cross_fit
from asd_agent.calibrate.hop_windows import HopWindows
from rigs.wandering import alarms_a_day, wandering

POOLING = FramePooling()
SETTINGS = DensitySettings(density="mean")
SAMPLES = 160_000


def test_windows_at_a_hop_are_cut_from_two_contiguous_clips():
    clips = np.arange(5 * SAMPLES, dtype=np.int16).reshape(5, SAMPLES)
    hops = HopWindows.of([False, True, True, False, True], Rule(1, 1, hop_seconds=4.0))
    assert [s.tolist() for s in hops.stretches] == [[0, 5, 6, 7, 8, 2], [3, 9, 10]]
    found = hops.cut(clips, np.arange(len(hops.begins)))
    flat = clips.ravel()
    for number, start in enumerate([4, 8, 12, 16, 34, 38]):
        np.testing.assert_array_equal(found[number], flat[start * 16_000 : start * 16_000 + SAMPLES])
    assert hops.within([0, 1, 4]).tolist() == [0, 1]
    assert HopWindows.of([False, True], Rule()).stretches == ()  # three windows cannot raise by 3 of 4


def test_a_stretch_ends_where_a_window_has_no_score():
    hops = HopWindows.of([False, True, True], Rule())
    found = hops.series(np.array([0.0, 1.0, 2.0]), np.array([np.nan, 5.0]))
    assert [s.tolist() for s in found] == [[0.0], [1.0, 5.0, 2.0]]


def test_a_window_between_two_folds_is_scored_without_either_of_its_clips():
    fitted_on: list[set[float]] = []
    x = np.arange(6.0)[:, None, None]
    data = DomainData(x, ["a", "a", "b", "b", "c", "c"], x[:-1] + 0.5, np.arange(5))

    def fit(clips: np.ndarray) -> dict[str, np.ndarray]:
        fitted_on.append(set(clips.ravel().tolist()))
        return {"known": clips.ravel()}

    def judge(clips: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
        near = np.abs(clips.reshape(-1, 1) - arrays["known"]).min(axis=1)
        return np.asarray(near)

    reference, between = cross_fit(data, fit, judge)
    assert fitted_on == [{3, 4, 5}, {0, 1, 5}, {0, 1, 2, 3}]
    assert (between >= 1.0 - 0.5).all()
    assert between[1] == 1.5  # between the clips 1 and 2, neither of which its fit has
    assert reference.tolist() == [3.0, 2.0, 1.0, 2.0, 1.0, 2.0]


def test_a_window_without_any_other_clip_to_fit_has_no_score():
    x = np.arange(2.0)[:, None, None]
    data = DomainData(x, ["a", "b"], x[:1], np.array([0]))
    _, between = cross_fit(data, lambda clips: {"n": np.array(len(clips))}, lambda clips, _: np.zeros(len(clips)))
    assert np.isnan(between).all()


def observed(hours: float, minutes: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a machine that wanders: of its clips, and of the windows between two of them."""
    series = wandering(hours / 24, Rule(), minutes, np.random.default_rng(seed))
    return series[::2], series[1:-1:2]


@pytest.mark.parametrize("experts", [1, 2])
def test_a_composed_condition_takes_its_level_from_contiguous_recordings(experts: int):
    rule = Rule()
    wanted = 4.0
    clips, between = observed(24.0, 5.0, 1)
    follows = [i % 30 > 0 or i % 90 > 0 for i in range(len(clips))]
    hops = HopWindows.of(follows, rule)
    kept = between[hops.begins]
    recordings = [f"b{i // 30}" for i in range(len(clips))]
    data = DomainData(clips[:, None, None], recordings, kept[:, None, None], hops.begins)
    calibrated = calibrate_source(data, SETTINGS, POOLING)
    np.testing.assert_allclose(calibrated.reference, clips, atol=1e-6)
    np.testing.assert_allclose(calibrated.between, kept, atol=1e-6)
    members = [FittedMember("m", DensitySettings(density="mean"), POOLING, calibrated)]
    fitted = [FittedExpert(f"e{i}", [replace(members[0], member=f"m{i}")], Combination()) for i in range(experts)]
    sound = CalibrationSound(
        len(clips), [-30.0] * len(clips), provisional=False, hops=hops, recordings=len(set(recordings))
    )
    asked = ThresholdSettings("auto", wanted, rule)
    plain = Combination(scale="clip")  # two of the same score are that score
    condition, arrays = compose("00", "source", fitted, plain, sound, asked)
    level = condition.threshold
    assert level.basis == "streams"
    assert level.recordings == 96  # contiguous stretches
    assert level.attainable
    assert level.upper_per_day is not None
    assert level.upper_per_day > level.false_alarms_per_day
    loose = fit_threshold(arrays[condition.reference], alarms_per_day=wanted, rule=rule)
    assert loose.basis == "clips"
    fresh = wandering(60.0, rule, 5.0, np.random.default_rng(2))
    fresh = (fresh - clips.mean()) / clips.std(ddof=1)
    got, alone = alarms_a_day([level.raise_level, loose.raise_level], fresh, rule)
    assert wanted / 3 < got < 3 * wanted
    assert alone > got  # clips taken as independent promise too little where scores wander


def test_too_little_contiguous_sound_leaves_the_level_to_clips_but_never_below_an_alarm_that_came():
    rule = Rule()
    scores = np.full(24, -1.0)
    scores[10:16] = 4.0
    clips = np.concatenate([scores, np.random.default_rng(0).normal(size=100)])
    follows = [0 < i < 24 for i in range(len(clips))]
    hops = HopWindows.of(follows, rule)
    calibrated = calibrate_source(
        DomainData(
            clips[:, None, None], [f"r{i // 4}" for i in range(len(clips))], clips[hops.begins, None, None], hops.begins
        ),
        SETTINGS,
        POOLING,
    )
    sound = CalibrationSound(len(clips), [-30.0], provisional=False, hops=hops)
    expert = FittedExpert("e", [FittedMember("m", DensitySettings(density="mean"), POOLING, calibrated)], Combination())
    condition, _ = compose("00", "source", [expert], Combination(), sound, ThresholdSettings("auto", 5.0, rule))
    assert condition.threshold.basis == "clips"
    highest = (4.0 - clips.mean()) / clips.std(ddof=1)
    assert condition.threshold.raise_level >= highest - 1e-9
