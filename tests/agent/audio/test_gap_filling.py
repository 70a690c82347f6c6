"""Samples and moments: the arithmetic of the anchor, against clocks that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.audio.gap_filling import Timeline

RATE = 16_000
BLOCK = 800


def feed(timeline: Timeline, seconds: float, *, ppm: float, jitter: float, seed: int, start: float = 100.0) -> int:
    """Blocks from a sound card whose samples last `ppm` too long, each late by up to `jitter` seconds."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE / BLOCK)
    for i, late in enumerate(random.exponential(jitter / 4, count).clip(0, jitter) if jitter else np.zeros(count)):
        end = (i + 1) * BLOCK
        timeline.observe(end, start + end / RATE * (1 + ppm * 1e-6) + late)
    return count * BLOCK


def test_nothing_heard_has_no_time():
    timeline = Timeline(RATE)
    assert not timeline.anchored
    with pytest.raises(ValueError, match="nothing has been heard"):
        timeline.monotonic(0)


def test_the_first_block_is_the_anchor():
    timeline = Timeline(RATE)
    timeline.observe(BLOCK, 10.05)
    assert timeline.monotonic(0) == pytest.approx(10.0)
    assert timeline.index(11.0) == RATE
    assert timeline.index(9.0) == -RATE


def test_a_first_block_that_came_late_is_corrected_by_the_next():
    timeline = Timeline(RATE)
    timeline.observe(BLOCK, 10.05 + 0.4)
    timeline.observe(2 * BLOCK, 10.10)
    assert timeline.monotonic(0) == pytest.approx(10.0)


@settings(max_examples=25)
@given(ppm=st.floats(-300, 300), jitter=st.floats(0, 0.03), seed=st.integers(0, 1000))
def test_moments_stay_true_within_a_few_milliseconds_whatever_the_drift(ppm, jitter, seed):
    timeline = Timeline(RATE)
    end = feed(timeline, 900, ppm=ppm, jitter=jitter, seed=seed)
    truth = 100 + end / RATE * (1 + ppm * 1e-6)
    assert timeline.monotonic(end) == pytest.approx(truth, abs=0.008)
    assert timeline.drift_ppm == pytest.approx(ppm, abs=10)


def test_before_the_drift_is_known_moments_follow_it():
    timeline = Timeline(RATE)
    end = feed(timeline, 55, ppm=200, jitter=0.0, seed=0)
    assert timeline.drift_ppm == 0
    assert timeline.monotonic(end) == pytest.approx(100 + end / RATE * 1.0002, abs=0.005)


def test_index_and_moment_are_each_others_inverse():
    timeline = Timeline(RATE)
    feed(timeline, 300, ppm=80, jitter=0.002, seed=1)
    for index in (0, 1, 123_456, 4_800_000, 10**9):
        assert timeline.index(timeline.monotonic(index)) == index


def test_a_new_anchor_keeps_what_is_known_of_the_drift():
    timeline = Timeline(RATE)
    end = feed(timeline, 300, ppm=120, jitter=0.0, seed=0)
    timeline.reanchor()
    timeline.observe(end + 5 * RATE, 500.0)
    assert timeline.drift_ppm == pytest.approx(120, abs=1)
    assert timeline.monotonic(end + 15 * RATE) == pytest.approx(510.0012, abs=1e-4)


def test_a_recording_at_tenfold_speed_has_its_own_pace():
    timeline = Timeline(RATE * 10)
    timeline.observe(16_000, 50.1)
    assert timeline.monotonic(160_000) == pytest.approx(51.0)
