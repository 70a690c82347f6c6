"""Recordings are read whole or refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.files import count_samples, read_blocks, read_clip, read_format, resample
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


def test_blocks_are_the_file_sample_by_sample(tmp_path: Path):
    path = tmp_path / "long.wav"
    sound = np.random.default_rng(0).integers(-30_000, 30_000, (400_000, 3)).astype(np.int16)
    soundfile.write(path, sound, 48_000)
    blocks = list(read_blocks(path, rate=None))
    assert len(blocks) > 3
    assert max(block.size for block in blocks) <= 2**18
    np.testing.assert_array_equal(np.concatenate(blocks), sound / np.float32(32768))
    np.testing.assert_array_equal(
        np.concatenate(list(read_blocks(path, rate=None, channels=(2, 0)))), sound[:, [2, 0]] / np.float32(32768)
    )


def test_blocks_are_resampled_without_a_seam(tmp_path: Path):
    path = tmp_path / "long.wav"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * 44_100).astype(np.float32)
    soundfile.write(path, sound, 44_100, subtype="FLOAT")
    got = np.concatenate(list(read_blocks(path)))[:, 0]
    assert len(got) == count_samples(path) == 20 * 16_000
    np.testing.assert_allclose(got, resample(sound, 44_100, 16_000), atol=1e-4)


def test_a_channel_that_the_file_lacks_is_named(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000)
    with pytest.raises(AudioError, match="no channel 1, only 1"):
        next(read_blocks(path, channels=(0, 1)))


@pytest.mark.parametrize("declared", [2**31, 4, 0xFFFF_FFFF])
def test_the_length_in_a_header_allocates_and_promises_nothing(tmp_path: Path, declared: int):
    """A recorder that was killed leaves a length of nothing, or of hours."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = declared.to_bytes(4, "little")
    path.write_bytes(data)
    blocks = list(read_blocks(path))
    assert sum(map(len, blocks)) == count_samples(path) == (2 if declared == 4 else 16_000)


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_a_rate_in_a_header_does_not_set_the_size_of_a_block(tmp_path: Path, rate: int):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    assert sum(len(block) for block in read_blocks(path, rate=None)) == 16_000


def test_a_flac_that_names_no_length_is_read_to_its_end(tmp_path: Path):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    # STREAMINFO: the last 36 of its bits 100 to 143 are the number of samples.
    data[8 + 13] &= 0xF0
    data[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(data)
    assert read_format(path).declared is None
    assert len(read_clip(path).samples) == count_samples(path) == 16_000


def test_a_folder_is_named_as_one(tmp_path):
    with pytest.raises(AudioError, match="is a folder"):
        read_clip(tmp_path)
