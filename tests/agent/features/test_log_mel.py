"""Log-mels against librosa, and against what can be worked out by hand."""

import itertools

import librosa
import numpy as np
import pytest

from asd_agent.features.log_mel import FeatureSpec, hz_to_mel, log_mel, mel_filterbank, mel_to_hz

GRID = list(
    itertools.product(["slaney", "htk"], ["slaney", "none"], [1, 2], [(1024, 512), (2048, 625), (512, 160)], [40, 128])
)


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """Two seconds with 90 dB between its loudest and its quietest bands."""
    rng = np.random.default_rng(7)
    t = np.arange(32_000) / 16_000
    return (0.5 * np.sin(2 * np.pi * 440 * t) + 1e-4 * rng.normal(size=t.size)).astype(np.float32)


@pytest.mark.parametrize(("scale", "norm", "power", "size", "n_mels"), GRID)
def test_log_mel_equals_librosa_within_a_ten_thousandth_of_a_decibel(signal, scale, norm, power, size, n_mels):
    n_fft, hop = size
    spec = FeatureSpec(
        mel_scale=scale, mel_norm=norm, power=power, n_fft=n_fft, hop_length=hop, n_mels=n_mels, f_min=20.0
    )
    mel = librosa.feature.melspectrogram(
        y=signal.astype(np.float64),
        sr=16_000,
        n_fft=n_fft,
        hop_length=hop,
        n_mels=n_mels,
        fmin=20.0,
        fmax=8000.0,
        power=power,
        htk=scale == "htk",
        norm="slaney" if norm == "slaney" else None,
    )
    decibels = librosa.power_to_db(mel, top_db=None) if power == 2 else librosa.amplitude_to_db(mel, top_db=None)
    np.testing.assert_allclose(log_mel(signal, spec), decibels.T, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_scales_are_their_own_inverse(scale):
    hz = np.array([0.0, 50.0, 999.0, 1000.0, 4321.0, 8000.0])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, atol=1e-9)


def test_uncentred_and_reflected_frames_equal_librosa(signal):
    for center, pad in ((False, "constant"), (True, "reflect")):
        spec = FeatureSpec(center=center, pad_mode=pad)
        mel = librosa.feature.melspectrogram(
            y=signal.astype(np.float64), sr=16_000, n_fft=1024, hop_length=512, n_mels=128, center=center, pad_mode=pad
        )
        np.testing.assert_allclose(log_mel(signal, spec), librosa.power_to_db(mel, top_db=None).T, atol=1e-4)


def test_number_of_frames_is_foretold(signal):
    for spec in (FeatureSpec(), FeatureSpec(center=False), FeatureSpec(n_fft=2048, hop_length=625)):
        assert len(log_mel(signal, spec)) == spec.frames(len(signal))


def test_silence_lies_at_the_floor():
    np.testing.assert_allclose(log_mel(np.zeros(16_000, np.float32), FeatureSpec()), -100.0, atol=1e-4)


def test_a_tone_is_loudest_in_its_own_band():
    spec = FeatureSpec(n_mels=40)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    loudest = int(log_mel(tone, spec).mean(axis=0).argmax())
    weights = mel_filterbank(spec)[1000 * 1024 // 16_000]
    assert loudest == int(weights.argmax())


def test_an_odd_frame_length_is_refused():
    with pytest.raises(ValueError, match="n_fft is 1023"):
        FeatureSpec(n_fft=1023)
