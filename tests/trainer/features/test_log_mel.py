"""The trainer's front end gives the agent's numbers."""

import itertools

import numpy as np
import pytest
import torch

from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_trainer.features.log_mel import LogMel

RATE = 16_000


def signal_of_wide_range() -> np.ndarray:
    """A full-scale tone, then noise 100 dB below it, then digital silence."""
    t = np.arange(RATE) / RATE
    loud = 0.99 * np.sin(2 * np.pi * 440.3 * t)
    quiet = 1e-5 * np.random.default_rng(1).normal(size=RATE)
    return np.concatenate([loud + quiet, quiet, np.zeros(RATE // 2)]).astype(np.float32)


GRID = [
    FeatureSpec(
        n_fft=n_fft,
        hop_length=hop,
        n_mels=n_mels,
        mel_scale=scale,
        mel_norm=norm,
        power=power,
        center=center,
        pad_mode=pad,
    )
    for (n_fft, hop, n_mels), (scale, norm), power, (center, pad) in itertools.product(
        [(512, 160, 40), (1024, 512, 128), (2048, 625, 64)],
        [("slaney", "slaney"), ("htk", "none")],
        [1, 2],
        [(True, "constant"), (True, "reflect"), (False, "constant")],
    )
]


@pytest.mark.parametrize("spec", GRID, ids=str)
def test_log_mels_equal_the_agents_over_a_wide_dynamic_range(spec: FeatureSpec):
    signals = np.stack([signal_of_wide_range(), 0.1 * np.random.default_rng(2).normal(size=5 * RATE // 2)]).astype(
        np.float32
    )
    found = LogMel(spec)(torch.from_numpy(signals)).numpy()
    expected = np.stack([log_mel(s, spec) for s in signals])
    assert found.shape == (2, spec.frames(signals.shape[1]), spec.n_mels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_band_edges_reach_the_filterbank():
    spec = FeatureSpec(f_min=50.0, f_max=7800.0, n_mels=64)
    signal = signal_of_wide_range()
    np.testing.assert_allclose(
        LogMel(spec)(torch.from_numpy(signal)[None])[0].numpy(), log_mel(signal, spec), atol=1e-3
    )


@pytest.mark.parametrize(("center", "pad", "samples"), [(False, "constant", 1023), (True, "reflect", 512)])
def test_a_signal_too_short_for_a_frame_is_refused(center, pad, samples):
    spec = FeatureSpec(n_fft=1024, center=center, pad_mode=pad)
    with pytest.raises(ValueError, match=f"{samples} samples"):
        LogMel(spec)(torch.zeros(1, samples))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_log_mels_on_cuda_equal_the_agents():
    spec, signal = FeatureSpec(), signal_of_wide_range()
    found = LogMel(spec).cuda()(torch.from_numpy(signal)[None].cuda())[0].cpu().numpy()
    np.testing.assert_allclose(found, log_mel(signal, spec), atol=1e-3)
