"""Reading of sound files: in blocks, as mono 16 kHz signal or as it is. The one place that opens a sound file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.errors import AudioError

Signal = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000
"""Hz; the rate of every window inside the agent and the trainer."""

_BLOCK_VALUES = 2**18
"""Values (samples times channels) read at a time: 1 MB, whatever rate and channels a header claims."""
_UNKNOWN_LENGTH = 2**62
"""libsndfile gives about 2^63 samples to a stream whose header names no length."""
_STREAMED_LENGTH = 0xFFFF_FF00
"""A RIFF length from here on is that of a writer which could not go back to write it."""

Converter = Callable[[Signal, bool], Signal]
"""Takes samples, shape (samples, channels), and whether they are the last; returns those that are ready."""


@dataclass(frozen=True)
class Audio:
    """One recording, mixed down and resampled.

    Attributes:
        samples: Mono signal, shape (samples,), full scale is ±1.
        rate_in: Rate of the file in Hz.
        channels_in: Channels of the file.
        warnings: Changes made while reading, one sentence each.
    """

    samples: Signal
    rate_in: int
    channels_in: int
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class SoundFormat:
    """Header of a sound file.

    Attributes:
        rate: In Hz.
        channels: Number of channels.
        declared: Samples of each channel by the header, which may be wrong; None where it names no length.
    """

    rate: int
    channels: int
    declared: int | None


def read_format(path: Path) -> SoundFormat:
    """Return the header of a wav or flac file.

    Raises:
        AudioError: The file is missing or is no audio.
    """
    with _opened(path) as file:
        return _format(file)


def read_blocks(
    path: Path,
    *,
    rate: int | None = SAMPLE_RATE,
    channels: Sequence[int] | None = None,
    block_values: int = _BLOCK_VALUES,
) -> Iterator[Signal]:
    """Read a wav or flac file in blocks, up to its true end: the length in its header is not used.

    Memory stays bounded by one block, however long the file is or claims to be.

    Args:
        path: The file.
        rate: Wanted rate in Hz; another one is resampled (soxr, high quality). None keeps the file's.
        channels: Channels to return, counted from 0; None returns all of them.
        block_values: Values (samples times channels) read at a time, at most 2^18; what precedes damage is returned up
            to the start of a block.

    Yields:
        Samples in order, shape (samples, channels), full scale ±1; never empty.

    Raises:
        AudioError: The file is missing, is no audio, is damaged, or lacks a channel.
    """
    import soundfile

    with _opened(path) as file:
        found = _format(file)
        columns = list(range(found.channels) if channels is None else channels)
        if not all(0 <= column < found.channels for column in columns):
            raise AudioError(
                f"{path}: has no channel {max(columns)}, only {found.channels}",
                f"Use a channel from 0 to {found.channels - 1}.",
            )
        # soundfile seeks after each read where it can, and a flac without a length cannot.
        file.seekable = lambda: False
        convert = resampler(found.rate, rate or found.rate, len(columns))
        size = max(1, min(block_values, _BLOCK_VALUES) // found.channels)
        last = False
        while not last:
            try:
                data = file.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise _not_readable(path, error) from error
            last = len(data) == 0
            samples = convert(np.ascontiguousarray(data[:, columns]), last)
            if len(samples):
                yield samples


def read_clip(path: Path, rate: int = SAMPLE_RATE, channel: int | None = None) -> Audio:
    """Read a whole wav or flac file as one mono signal.

    Args:
        path: The file.
        rate: Wanted rate in Hz; another one is resampled (soxr, high quality) with a warning.
        channel: Take this channel, counted from 0; None averages all of them with a warning.

    Raises:
        AudioError: The file is missing, is no audio, is shorter than its header declares, or holds NaN.
    """
    found = read_format(path)
    if channel is not None and not 0 <= channel < found.channels:
        raise AudioError(
            f"{path}: has no channel {channel}, only {found.channels}",
            f"Use a channel from 0 to {found.channels - 1}.",
        )
    blocks = list(read_blocks(path, rate=None))
    if not blocks:
        raise AudioError(f"{path}: holds no samples", "Record or copy the file again.")
    data = np.concatenate(blocks)
    missing = missing_part(path, (found.declared or 0) - len(data))
    if missing:
        raise AudioError(
            f"{path}: truncated, it ends {missing} early",
            "Copy the file again; a part of it would be scored as whole.",
        )
    if not np.isfinite(data).all():
        raise AudioError(f"{path}: holds NaN or infinite samples", "Export the recording again as 16-bit PCM.")
    warnings: list[str] = []
    if channel is not None:
        signal = data[:, channel]
    elif found.channels > 1:
        signal = data.mean(axis=1)
        warnings.append(f"{path}: {found.channels} channels averaged to one")
    else:
        signal = data[:, 0]
    if found.rate != rate:
        signal = resample(signal, found.rate, rate)
        warnings.append(f"{path}: resampled from {found.rate} Hz to {rate} Hz")
    return Audio(np.ascontiguousarray(signal, dtype=np.float32), found.rate, found.channels, tuple(warnings))


def count_samples(path: Path, rate: int = SAMPLE_RATE) -> int:
    """Return how many samples of each channel `read_blocks` gives at a rate; 0 where the file cannot be read.

    The length in the header is taken where the last sample that it promises is there; else the file is decoded.
    """
    import soundfile

    try:
        found = read_format(path)
        length = found.declared
        try:
            with _opened(path) as file:
                file.seek((length or 0) - 1)
                whole = length is not None and len(file.read(1)) == 1
        except (soundfile.SoundFileError, RuntimeError):
            whole = False
        if not whole or length is None:
            length = sum(map(len, read_blocks(path, rate=None)))
    except AudioError:
        return 0
    return math.ceil(length * rate / found.rate)


def resample(signal: Signal, rate_in: int, rate_out: int) -> Signal:
    """Return a whole signal at another rate, shape (samples,)."""
    import soxr

    out: Signal = soxr.resample(signal, rate_in, rate_out, quality="HQ").astype(np.float32)
    return out


def resampler(rate_in: int, rate_out: int, channels: int) -> Converter:
    """Return a converter of a stream from one rate to another (soxr, high quality)."""
    if rate_in == rate_out:
        return lambda samples, last: samples  # noqa: ARG005 - a converter holds nothing back here
    import soxr

    stream = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality="HQ")

    def convert(samples: Signal, last: bool) -> Signal:
        out: Signal = stream.resample_chunk(samples, last=last)
        return out.reshape(-1, channels)

    return convert


def _opened(path: Path) -> Any:
    import soundfile

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise AudioError(f"{path}: {what}", "Give the path of a wav or flac recording.")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise _not_readable(path, error) from error


def _format(file: Any) -> SoundFormat:
    declared = int(file.frames)
    return SoundFormat(int(file.samplerate), int(file.channels), declared if declared < _UNKNOWN_LENGTH else None)


def _not_readable(path: Path, error: BaseException) -> AudioError:
    reason = str(error).rsplit(": ", 1)[-1].strip().rstrip(".") or type(error).__name__
    remedy = "Record or copy the file again; wav and flac are read."
    return AudioError(f"{path}: not readable as audio ({reason})", remedy)


def missing_part(path: Path, missing_samples: int) -> str:
    """Return how much a file lacks of what its header declares, in words; empty if it is whole.

    libsndfile reads a truncated wav without complaint, so the RIFF header is read as well.
    """
    if missing_samples > 0:
        return f"{missing_samples} samples"
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return ""
        size = path.stat().st_size
        position = 12
        while True:
            file.seek(position)
            chunk = file.read(8)
            if len(chunk) < 8:
                return ""
            length = int.from_bytes(chunk[4:8], "little")
            if chunk[:4] == b"data":
                lacking = position + 8 + length - size
                return f"{lacking} bytes" if lacking > 0 and length < _STREAMED_LENGTH else ""
            position += 8 + length + (length & 1)
