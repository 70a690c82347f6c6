"""Spectra in blocks: their buffers belong to one thread and one frame length."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from asd_agent.features import frames as frames_module
from asd_agent.features.frames import framed, hann, power_spectra
from asd_agent.features.log_mel import FeatureSpec, log_mel

SIZES = [(256, 100), (512, 160), (1024, 512), (2048, 625), (4096, 1000)]


def noise(seed: int, samples: int = 80_000) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32)


@pytest.mark.parametrize("has_out", [True, False])
@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_blocks_are_the_transform_of_the_whole(n_fft, hop, has_out, monkeypatch):
    monkeypatch.setattr(frames_module, "_RFFT_HAS_OUT", has_out)
    frames = framed(noise(0), n_fft, hop, center=True)
    found = np.empty((len(frames), n_fft // 2 + 1), np.float32)
    for part, powers in power_spectra(frames):
        found[part] = powers
    wanted = np.abs(np.fft.rfft(frames * hann(n_fft))) ** 2
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-20)


@pytest.mark.parametrize(("center", "pad"), [(True, "constant"), (True, "reflect"), (False, "constant")])
@pytest.mark.parametrize("samples", [300, 1001])
def test_frames_are_those_of_the_padded_signal(center, pad, samples):
    x = noise(3, samples)
    padded = np.pad(x.astype(np.float64), 128, mode=pad) if center else x
    wanted = [padded[at : at + 256] for at in range(0, len(padded) - 255, 100)]
    np.testing.assert_array_equal(framed(x, 256, 100, center=center, pad_mode=pad), wanted)


def test_threads_and_frame_lengths_do_not_share_buffers():
    jobs = [(FeatureSpec(n_fft=n, hop_length=h, n_mels=40), seed) for seed in range(6) for n, h in SIZES]
    alone = [log_mel(noise(seed), spec) for spec, seed in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: log_mel(noise(job[1]), job[0]), jobs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
