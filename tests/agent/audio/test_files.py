"""Recordings are read whole or refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.files import read_clip
from asd_agent.errors import AudioError


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_mono_at_16_khz_comes_back_as_it_was(tmp_path: Path, suffix: str):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    audio = read_clip(path)
    np.testing.assert_allclose(audio.samples, tone(16_000), atol=1.0 / 32768)
    assert audio.warnings == ()


def test_stereo_at_44100_hz_is_averaged_and_resampled_with_two_warnings(tmp_path: Path):
    path = tmp_path / "a.wav"
    left = tone(44_100)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 44_100)
    audio = read_clip(path)
    assert len(audio.samples) == 16_000
    np.testing.assert_allclose(audio.samples[1000:-1000], 0.5 * tone(16_000)[1000:-1000], atol=1e-3)
    assert len(audio.warnings) == 2
    assert "44100 Hz" in audio.warnings[1]


def test_one_channel_can_be_chosen(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(16_000), np.zeros(16_000, np.float32)], axis=1), 16_000)
    assert not read_clip(path, channel=1).samples.any()
    with pytest.raises(AudioError, match="no channel 2, only 2"):
        read_clip(path, channel=2)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(AudioError, match="no such file"):
        read_clip(tmp_path / "none.wav")


def test_a_truncated_wav_is_refused(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(AudioError, match="ends 1000 bytes early"):
        read_clip(path)


def test_a_truncated_flac_is_refused(tmp_path: Path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).normal(size=16_000) * 0.1, 16_000)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(AudioError):
        read_clip(path)


@pytest.mark.parametrize(("content", "words"), [(b"", "not readable"), (b"hello, this is text", "not readable")])
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=words):
        read_clip(path)


def test_nan_samples_are_refused(tmp_path: Path):
    path = tmp_path / "a.wav"
    samples = tone(16_000)
    samples[5] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN"):
        read_clip(path)
