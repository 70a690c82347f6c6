"""A clip holds the samples that were heard, all of them and no others."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from asd_agent.audio.ring import Gap, Ring
from asd_agent.evidence.clip import cut_clip, to_flac


def ring_of(count: int, capacity: float = 1.0) -> Ring:
    ring = Ring(capacity, channels=2, rate=1000)
    ring.write(np.stack([np.arange(count), -np.arange(count)], axis=1).astype(np.float32))
    return ring


def test_a_cut_copies_one_channel():
    got = cut_clip(ring_of(900), 1, 100, 400)
    np.testing.assert_array_equal(got.samples, -np.arange(100, 400))
    assert (got.first, got.end, got.gaps, got.lacks) == (100, 400, (), ())


def test_what_is_not_there_is_named():
    assert cut_clip(ring_of(900), 0, -50, 200).lacks == ("beginning",)
    assert cut_clip(ring_of(900), 0, 800, 1200).lacks == ("end",)
    overwritten = cut_clip(ring_of(2500), 0, 1000, 2000)
    assert (overwritten.first, overwritten.lacks) == (1500, ("beginning",))
    assert cut_clip(ring_of(2500), 0, 100, 900) is None
    assert cut_clip(ring_of(100), 0, 100, 900) is None


def test_gaps_are_named_and_silent():
    ring = ring_of(300)
    ring.write_gap(100)
    ring.write(np.ones((100, 2), dtype=np.float32))
    got = cut_clip(ring, 0, 250, 450)
    assert got.gaps == (Gap(300, 400),)
    np.testing.assert_array_equal(got.samples[50:150], 0.0)
    np.testing.assert_array_equal(got.samples[150:], 1.0)


def test_flac_reads_back_sample_by_sample():
    rng = np.random.default_rng(5)
    of_16_bits = rng.integers(-32768, 32768, 20_000) / 32768
    of_24_bits = rng.integers(-(1 << 23), 1 << 23, 20_000) / (1 << 23)
    for samples in (of_16_bits, of_24_bits):
        sound = samples.astype(np.float32)
        back, rate = soundfile.read(io.BytesIO(to_flac(sound)), dtype="float32")
        np.testing.assert_array_equal(back, sound)
        assert rate == 16_000


def test_what_is_no_number_or_too_loud_is_still_a_file():
    sound = np.array([np.nan, np.inf, -np.inf, 2.0, -2.0, 0.5] * 100, dtype=np.float32)
    back, _ = soundfile.read(io.BytesIO(to_flac(sound)), dtype="float32")
    np.testing.assert_allclose(back[:6], [0.0, 1.0, -1.0, 1.0, -1.0, 0.5], atol=1e-6)
