"""Linear spectra against librosa, Parseval's theorem and a tone whose place is known."""

import librosa
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from asd_agent.features.stft import SpectrumSpec, StftSpec, fft_magnitude, front_end, linear_stft
from asd_agent.inference.members import WindowFeatures
from asd_trainer.features.log_mel import LinearStft, Spectrum

RATE = 16_000


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


@pytest.mark.parametrize(("n_fft", "hop", "center"), [(1024, 512, True), (512, 160, False), (4096, 1000, True)])
def test_short_time_magnitudes_equal_librosas(n_fft, hop, center):
    x = noise(2 * RATE)
    spec = StftSpec(n_fft=n_fft, hop_length=hop, center=center)
    wanted = np.abs(
        librosa.stft(x.astype(np.float64), n_fft=n_fft, hop_length=hop, center=center, pad_mode="constant")
    ) / np.sqrt(n_fft)
    found = linear_stft(x, spec)
    assert found.shape == spec.shape(len(x))
    np.testing.assert_allclose(found, wanted.T, atol=1e-6)


def test_a_band_keeps_both_of_its_ends():
    spec = StftSpec(n_fft=1600, hop_length=800, f_min=200, f_max=400)  # bins are 10 Hz apart
    whole = linear_stft(noise(RATE), StftSpec(n_fft=1600, hop_length=800))
    np.testing.assert_array_equal(linear_stft(noise(RATE), spec), whole[:, 20:41])
    assert SpectrumSpec(f_min=0.1, f_max=0.3).shape(10 * RATE) == (3,)


def test_a_whole_windows_spectrum_resolves_a_tenth_of_a_hertz():
    t = np.arange(10 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 440.3 * t)
    spectrum = fft_magnitude(tone, SpectrumSpec())
    assert spectrum.shape == SpectrumSpec().shape(len(t)) == (80_001,)
    assert spectrum.argmax() == 4403
    assert spectrum[4403] == pytest.approx(0.25 * np.sqrt(len(t)), rel=1e-5)  # amplitude / 2 · √samples
    assert spectrum[4404] < 1e-3


def test_the_orthonormal_transform_keeps_energy():
    x = noise(RATE).astype(np.float64)
    spectrum = fft_magnitude(x, SpectrumSpec()).astype(np.float64)
    energy = 2 * (spectrum**2).sum() - spectrum[0] ** 2 - spectrum[-1] ** 2
    assert energy == pytest.approx((x**2).sum(), rel=1e-5)


@pytest.mark.parametrize(
    "spec",
    [StftSpec(n_fft=512, hop_length=160, f_min=100, f_max=7000), StftSpec(center=False), SpectrumSpec(f_min=50)],
)
def test_torch_gives_the_agents_numbers(spec):
    x = np.stack([noise(2 * RATE, seed) for seed in range(3)])
    module = LinearStft(spec) if isinstance(spec, StftSpec) else Spectrum(spec)
    found = module(torch.from_numpy(x)).numpy()
    wanted = np.stack([front_end(one, spec) for one in x])
    assert found.shape == wanted.shape == (3, *spec.shape(2 * RATE))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * wanted.max())


def test_a_front_end_is_computed_once():
    features = WindowFeatures(noise(RATE)[None])
    assert features.of(StftSpec()) is features.of(StftSpec())
    assert features.of(StftSpec()).shape == (1, 32, 513)


@pytest.mark.parametrize("wrong", [{"f_max": 9000}, {"f_min": 300, "f_max": 200}])
def test_an_impossible_band_is_refused(wrong):
    with pytest.raises(ValidationError, match="must be within 0 to 8000"):
        StftSpec(**wrong)
    with pytest.raises(ValidationError, match="must be within 0 to 8000"):
        SpectrumSpec(**wrong)


def test_a_signal_shorter_than_a_frame_is_refused():
    with pytest.raises(ValueError, match="fewer than one frame"):
        linear_stft(noise(100), StftSpec(center=False))
    with pytest.raises(ValueError, match="fewer than one frame"):
        LinearStft(StftSpec(center=False))(torch.zeros(1, 100))
