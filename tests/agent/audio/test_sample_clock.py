"""Times of samples: the arithmetic of the anchor, against clocks that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.audio.sample_clock import SampleClock

RATE = 16_000
BLOCK = 800


def feed(
    sample_clock: SampleClock, seconds: float, *, ppm: float, jitter: float, seed: int, start: float = 100.0
) -> int:
    """Blocks from a sound card whose samples last `ppm` too long, each late by up to `jitter` seconds."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE / BLOCK)
    for i, late in enumerate(random.exponential(jitter / 4, count).clip(0, jitter) if jitter else np.zeros(count)):
        end = (i + 1) * BLOCK
        sample_clock.add(end, start + end / RATE * (1 + ppm * 1e-6) + late)
    return count * BLOCK


def test_no_sound_has_no_time():
    sample_clock = SampleClock(RATE)
    assert not sample_clock.anchored
    with pytest.raises(ValueError, match="no sound has arrived"):
        sample_clock.monotonic(0)


def test_the_first_block_is_the_anchor():
    sample_clock = SampleClock(RATE)
    sample_clock.add(BLOCK, 10.05)
    assert sample_clock.monotonic(0) == pytest.approx(10.0)
    assert sample_clock.index(11.0) == RATE
    assert sample_clock.index(9.0) == -RATE


def test_a_first_block_that_came_late_is_corrected_by_the_next():
    sample_clock = SampleClock(RATE)
    sample_clock.add(BLOCK, 10.05 + 0.4)
    sample_clock.add(2 * BLOCK, 10.10)
    assert sample_clock.monotonic(0) == pytest.approx(10.0)


@settings(max_examples=25)
@given(ppm=st.floats(-300, 300), jitter=st.floats(0, 0.03), seed=st.integers(0, 1000))
def test_times_stay_true_within_a_few_milliseconds_whatever_the_drift(ppm, jitter, seed):
    sample_clock = SampleClock(RATE)
    end = feed(sample_clock, 900, ppm=ppm, jitter=jitter, seed=seed)
    truth = 100 + end / RATE * (1 + ppm * 1e-6)
    assert sample_clock.monotonic(end) == pytest.approx(truth, abs=0.008)
    assert sample_clock.drift_ppm == pytest.approx(ppm, abs=10)


def test_before_the_drift_is_known_times_follow_it():
    sample_clock = SampleClock(RATE)
    end = feed(sample_clock, 55, ppm=200, jitter=0.0, seed=0)
    assert sample_clock.drift_ppm == 0
    assert sample_clock.monotonic(end) == pytest.approx(100 + end / RATE * 1.0002, abs=0.005)


def test_index_and_time_are_each_others_inverse():
    sample_clock = SampleClock(RATE)
    feed(sample_clock, 300, ppm=80, jitter=0.002, seed=1)
    for index in (0, 1, 123_456, 4_800_000, 10**9):
        assert sample_clock.index(sample_clock.monotonic(index)) == index


def test_a_new_anchor_keeps_what_is_known_of_the_drift():
    sample_clock = SampleClock(RATE)
    end = feed(sample_clock, 300, ppm=120, jitter=0.0, seed=0)
    sample_clock.reanchor()
    sample_clock.add(end + 5 * RATE, 500.0)
    assert sample_clock.drift_ppm == pytest.approx(120, abs=1)
    assert sample_clock.monotonic(end + 15 * RATE) == pytest.approx(510.0012, abs=1e-4)


def test_a_recording_at_tenfold_speed_has_its_own_pace():
    sample_clock = SampleClock(RATE * 10)
    sample_clock.add(16_000, 50.1)
    assert sample_clock.monotonic(160_000) == pytest.approx(51.0)
