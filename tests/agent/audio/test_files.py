"""Recordings are read whole or refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.files import count_samples, full_window, read_blocks, read_clip, resample
from asd_agent.audio.sound_header import read_format
from asd_agent.errors import AudioError
from rigs.odd_sounds import flac_header, wav_header


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty, 0 bytes"),
        (b"hello, this is text", "is text, not audio: it begins with 'hello, this is text'"),
        (b"\x00\x01\xfe\xff" * 30, "cannot be read as audio"),
        (b"RIFF\x00\x00\x00\x00WAVE", "its header is damaged"),
        (b"fLaC\x00", "its header is damaged"),
    ],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=words):
        read_clip(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_samples_that_are_no_sound_are_refused(tmp_path: Path, value: float):
    path = tmp_path / "a.wav"
    samples = tone(16_000)
    samples[5] = value
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


@pytest.mark.parametrize(
    "declared", [0, 4, 1600, 0x7FFF_F000, 0x7FFF_FFDB, 0x8000_0000, 0xFFFF_FF00, 0xFFFF_FFFF], ids=hex
)
def test_a_wav_is_read_to_its_end_whatever_length_a_recorder_left_in_its_header(tmp_path: Path, declared: int):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    path.write_bytes(wav_header(path.read_bytes(), length=declared))
    assert sum(map(len, read_blocks(path))) == count_samples(path) == 16_000
    audio = read_clip(path)
    assert len(audio.samples) == 16_000
    if declared in (4, 1600):  # no placeholder: sound behind it was dropped without a word
        assert f"its header names {declared / 32_000:.1f} s" in audio.warnings[0]
    else:
        assert audio.warnings == ()


@pytest.mark.parametrize(
    "tail", [b"LIST\x04\x00\x00\x00abcd", b"TAG" + bytes(125), b"id3 " + (5000).to_bytes(4, "little") + bytes(5000)]
)
def test_notes_behind_the_sound_are_no_sound(tmp_path: Path, tail: bytes):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    path.write_bytes(path.read_bytes() + tail)
    audio = read_clip(path)
    assert len(audio.samples) == 16_000
    assert audio.warnings == ()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
def test_every_lossless_wav_gives_what_libsndfile_gives(tmp_path: Path, subtype: str, form: str):
    path = tmp_path / "a.wav"
    sound = np.random.default_rng(0).uniform(-1, 1, (5000, 2))
    soundfile.write(path, sound, 16_000, subtype=subtype, format=form)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path))), expected)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a"])
@pytest.mark.parametrize(
    ("form", "subtype", "words"),
    [
        ("WAV", "GSM610", "a wav with GSM"),
        ("WAV", "IMA_ADPCM", "a wav with ADPCM"),
        ("WAV", "ULAW", "a wav with µ-law"),
        ("OGG", "VORBIS", "Ogg"),
        ("MP3", "MPEG_LAYER_III", "MP3"),
        ("AIFF", "PCM_16", "AIFF"),
        ("W64", "PCM_16", "W64"),
    ],
)
def test_other_formats_are_refused_by_their_content(tmp_path: Path, form: str, subtype: str, words: str, name: str):
    path = tmp_path / name
    soundfile.write(path, tone(16_000), 16_000, format=form, subtype=subtype)
    with pytest.raises(AudioError, match=f"{name}: is {words}.*, which is not read. Give a wav file"):
        read_clip(path)
    assert count_samples(path) == 0


def test_a_flac_behind_a_tag_is_read(tmp_path: Path):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(16_000), 16_000)
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + flac_header(path.read_bytes(), 4000))
    assert len(read_clip(path).samples) == 16_000


def test_a_flac_is_read_whatever_its_suffix(tmp_path: Path):
    soundfile.write(tmp_path / "a.flac", tone(16_000), 16_000)
    assert len(read_clip((tmp_path / "a.flac").rename(tmp_path / "a.wav")).samples) == 16_000


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2**31 - 1])
def test_a_rate_that_no_recorder_has_is_refused(tmp_path: Path, rate: int):
    """A small file that names 1 Hz would be resampled to gigabytes."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    path.write_bytes(wav_header(path.read_bytes(), rate=rate))
    with pytest.raises(AudioError, match=f"names a rate of {rate} Hz"):
        next(read_blocks(path, rate=None))


@pytest.mark.parametrize("declared", [0, 4000, 16_000])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_flac_is_read_to_its_end_whatever_length_its_header_names(tmp_path: Path, rate: int, declared: int):
    path = tmp_path / "a.flac"
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 4 * rate)
    soundfile.write(path, sound, rate, subtype="PCM_16")
    path.write_bytes(flac_header(path.read_bytes(), declared))
    assert read_format(path).declared == (declared or None)
    assert sum(map(len, read_blocks(path))) == len(read_clip(path).samples) == 64_000


def test_a_flac_that_claims_a_month_allocates_nothing_and_is_truncated(tmp_path: Path):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(16_000), 16_000)
    path.write_bytes(flac_header(path.read_bytes(), 2**36 - 1))
    with pytest.raises(AudioError, match=f"truncated, it ends {2**36 - 1 - 16_000} samples early"):
        read_clip(path)


def test_the_start_of_a_long_recording_is_read_without_the_rest(tmp_path: Path):
    path = tmp_path / "a.flac"
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 600_000)
    soundfile.write(path, sound, 16_000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-20_000])  # damage behind what is asked for
    np.testing.assert_allclose(read_clip(path, seconds=1).samples, sound[:16_000], atol=1e-4)


def test_what_is_too_long_to_be_read_whole_is_refused(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(3_601_000, np.int16), 1000)
    with pytest.raises(AudioError, match=r"is longer than 1 h\. Cut it into clips"):
        read_clip(path, rate=1000)


def test_thousands_of_channels_are_not_averaged(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((100, 65), np.float32), 16_000)
    with pytest.raises(AudioError, match=r"has 65 channels\. Choose one"):
        read_clip(path)
    assert len(read_clip(path, channel=64).samples) == 100


def test_a_window_may_lack_less_than_a_millisecond():
    padded = full_window(Path("a.wav"), np.arange(159_984, dtype=np.float32), 160_000)
    assert (len(padded), padded[-1]) == (160_000, 159_983)
    with pytest.raises(AudioError, match=r"a.wav: 159983 samples at 16000 Hz \(9.999 s\) are fewer than the 160000"):
        full_window(Path("a.wav"), np.zeros(159_983, np.float32), 160_000)


def test_a_folder_is_named_as_one(tmp_path):
    with pytest.raises(AudioError, match="is a folder"):
        read_clip(tmp_path)
