"""Windows that may be scored, and those that may not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.audio.quality import FLOOR_DBFS, QualityLimits, assess, constant_share, level_dbfs

WINDOW = 160_000


def noise(rms: float = 0.05, seed: int = 0) -> np.ndarray:
    return (rms * np.random.default_rng(seed).standard_normal(WINDOW)).astype(np.float32)


def tone(frequency: float, amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(WINDOW) / 16_000)).astype(np.float32)


def test_plain_noise_is_fine_and_its_level_is_told():
    quality = assess(noise(0.1))
    assert (quality.verdict, quality.reasons) == ("ok", ())
    assert quality.level_dbfs == pytest.approx(-20, abs=0.05)
    assert quality.scored


def test_a_gap_makes_the_best_sound_invalid():
    assert assess(noise(), has_gap=True).reasons == ("gap",)
    assert not assess(noise(), has_gap=True).scored


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_sample_that_is_no_number_is_enough(bad):
    samples = noise()
    samples[12_345] = bad
    quality = assess(samples)
    assert (quality.verdict, quality.reasons) == ("invalid", ("not_finite",))
    assert np.isfinite(quality.level_dbfs)


@pytest.mark.parametrize("value", [0.0, 0.25, -1.0, 1.0])
def test_a_window_of_one_value_is_invalid(value):
    quality = assess(np.full(WINDOW, value, np.float32))
    assert quality.verdict == "invalid"
    assert quality.level_dbfs == FLOOR_DBFS


def test_a_fifth_of_a_second_of_zeros_within_the_window_is_silence():
    samples = noise()
    samples[40_000:43_300] = 0
    assert assess(samples).reasons == ("silence",)
    samples = noise()
    samples[40_000:43_100] = 0
    assert assess(samples).verdict == "ok"


def test_zeros_too_short_to_be_a_loss_are_no_silence():
    samples = noise()
    samples[::2] = 0
    assert assess(samples).verdict == "ok"


def test_an_offset_that_drowns_the_sound_is_dc():
    assert assess(noise(0.01) + np.float32(0.3)).reasons == ("dc",)
    assert assess(noise(0.2) + np.float32(0.06)).verdict == "ok"
    assert assess(noise(0.0001) + np.float32(0.01)).verdict == "ok"


def test_a_bearing_that_grinds_until_it_clips_is_scored():
    quality = assess(np.clip(noise(0.8), -1, 1))
    assert (quality.verdict, quality.reasons) == ("suspect", ("clipping",))
    assert quality.scored


def test_a_hum_that_clips_for_half_of_each_period_is_clipping_and_not_silence():
    quality = assess(np.clip(tone(10, 30.0), -1, 1))
    assert (quality.verdict, quality.reasons) == ("suspect", ("clipping",))


def test_a_few_clipped_samples_are_no_matter():
    samples = noise()
    samples[:100] = 1.0
    assert assess(samples).verdict == "ok"


def test_a_level_outside_the_calibration_is_suspect():
    limits = QualityLimits(low_dbfs=-50, high_dbfs=-20)
    assert assess(noise(0.05), limits=limits).verdict == "ok"
    assert assess(noise(0.001), limits=limits).reasons == ("too_quiet",)
    assert assess(noise(0.3), limits=limits).reasons[-1] == "too_loud"


def test_invalid_outweighs_suspect():
    samples = np.clip(noise(0.8), -1, 1)
    samples[0] = np.nan
    quality = assess(samples)
    assert quality.verdict == "invalid"
    assert set(quality.reasons) == {"not_finite", "clipping"}


def test_the_loudest_channel_gives_the_level():
    both = np.stack([noise(0.001), noise(0.1)], axis=1)
    assert level_dbfs(both) == pytest.approx(-20, abs=0.05)


def test_a_window_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        assess(np.zeros((10, 2), np.float32))


@given(st.lists(st.sampled_from([0.0, 0.5]), min_size=1, max_size=60), st.integers(1, 20))
def test_the_share_that_stands_still_counts_each_run(values, run):
    still, start = 0, 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[start]:
            still += (i - start) if i - start >= min(run, len(values)) else 0
            start = i
    assert constant_share(np.array(values, np.float32), run) == pytest.approx(still / len(values))


@given(st.integers(4, 40), st.integers(0, 60), st.integers(1, 45), st.integers(0, 2**32 - 1))
def test_a_run_is_found_wherever_it_lies_among_sound_that_often_repeats_itself(run, first, length, seed):
    sound = np.random.default_rng(seed).integers(-1, 2, 100).astype(np.float32)
    sound[first : first + length] = 7.0
    lengths = np.diff(np.flatnonzero(np.diff(sound, prepend=np.nan, append=np.nan) != 0))
    wanted = lengths[lengths >= run].sum() / len(sound)
    assert constant_share(sound, run) == pytest.approx(wanted)
