"""Reading of sound files: in blocks, as mono 16 kHz signal or as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.audio.sound_blocks import flac_blocks, has_sample, wav_blocks
from asd_agent.audio.sound_header import SoundFileError, SoundFormat, read_format
from asd_agent.errors import AudioError

Signal = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000
"""Hz; the rate of every window inside the agent and the trainer."""
MOST_CHANNELS = 64
"""Channels that are averaged; a header may claim thousands."""
LONGEST_CLIP_SECONDS = 3600.0
"""Length of what is read whole: 230 MB. Longer recordings are read in blocks or cut into clips."""
PADDED_SECONDS = 0.001
"""A clip may lack this much of a window: a cut or a resampling leaves out a few samples."""

_BLOCK_VALUES = 2**18
"""Values (samples times channels) read at a time: 1 MB, whatever rate and channels a header claims."""

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
    found = read_format(path)
    columns = list(range(found.channels) if channels is None else channels)
    for column in columns:
        check_channel(path, found, column)
    size = max(1, min(block_values, _BLOCK_VALUES) // found.channels)
    convert = resampler(found.rate, rate or found.rate, len(columns))
    for data in flac_blocks(path, found, size) if found.encoding == "flac" else wav_blocks(path, found, size):
        samples = convert(data if channels is None else np.ascontiguousarray(data[:, columns]), False)
        if len(samples):
            yield samples
    samples = convert(np.empty((0, len(columns)), np.float32), True)
    if len(samples):
        yield samples


def read_clip(
    path: Path, rate: int = SAMPLE_RATE, channel: int | None = None, seconds: float = LONGEST_CLIP_SECONDS
) -> Audio:
    """Read a wav or flac file as one mono signal.

    Args:
        path: The file.
        rate: Wanted rate in Hz; another one is resampled (soxr, high quality) with a warning.
        channel: Take this channel, counted from 0; None averages all of them with a warning.
        seconds: Length that is read; what a longer file has beyond it is left out, and not checked. A file of more than
            `LONGEST_CLIP_SECONDS` is refused instead where no less is asked for.

    Raises:
        AudioError: The file is missing, is no audio, is shorter than its header declares, is too long, or holds NaN.
    """
    found = read_format(path)
    check_whole(path, found)
    most, blocks, count = math.ceil(seconds * rate), [], 0
    for block in mono_blocks(path, rate=rate, channel=channel):
        if not np.isfinite(block).all():
            text = f"{path}: holds NaN or infinite samples"
            raise SoundFileError("not_finite", text, "Export the recording again as 16-bit PCM.")
        blocks.append(block[: most - count])
        count += len(block)
        if count > most and seconds >= LONGEST_CLIP_SECONDS:
            text = f"{path}: is longer than {LONGEST_CLIP_SECONDS / 3600:g} h"
            raise AudioError(text, "Cut it into clips: `asd-trainer import`.")
        if count >= most:
            break
    else:
        check_whole(path, found, count, rate)
    return Audio(np.concatenate(blocks), found.rate, found.channels, changes_of(path, found, rate, channel))


def mono_blocks(path: Path, *, rate: int | None = SAMPLE_RATE, channel: int | None = None) -> Iterator[Signal]:
    """Read a wav or flac file in blocks as one signal, shape (samples,): a channel, or the mean of all.

    Raises:
        AudioError: As of `read_blocks`; or the file has too many channels to average.
    """
    found = read_format(path)
    if channel is None:
        check_channels(path, found)
    else:
        check_channel(path, found, channel)
    convert = resampler(found.rate, rate or found.rate, 1)
    for block in read_blocks(path, rate=None, channels=None if channel is None else [channel]):
        mixed = block if block.shape[1] == 1 else block.mean(axis=1, keepdims=True)
        if len(signal := convert(mixed, False)[:, 0]):
            yield signal
    if len(signal := convert(np.empty((0, 1), np.float32), True)[:, 0]):
        yield signal


def check_channel(path: Path, found: SoundFormat, channel: int) -> None:
    """Check that a file has a channel.

    Raises:
        AudioError: It has not.
    """
    if not 0 <= channel < found.channels:
        last = found.channels - 1
        only = f"{last + 1} channels" if last else "1 channel"
        remedy = f"Use one from 0 to {last}." if last else "Use channel 0."
        raise AudioError(f"{path}: has no channel {channel}, only {only}", remedy)


def check_channels(path: Path, found: SoundFormat) -> None:
    """Check that the channels of a file can be averaged.

    Raises:
        AudioError: There are too many.
    """
    if found.channels > MOST_CHANNELS:
        raise AudioError(f"{path}: has {found.channels} channels", "Choose one with --channel.")


def check_rate(path: Path, found: SoundFormat) -> None:
    """Check that a recording holds all the sound that a bundle judges.

    Raises:
        AudioError: It was recorded at a rate below 16 kHz.
    """
    if found.rate < SAMPLE_RATE:
        raise AudioError(f"{path}: {recorded_below(found.rate)}", f"Record at {SAMPLE_RATE} Hz or more.")


def recorded_below(rate: int) -> str:
    """Return what a recording at a rate below 16 kHz lacks, in words."""
    return f"recorded at {rate} Hz, so it has no sound above {rate / 2000:g} kHz, which the bundle judges"


def check_whole(path: Path, found: SoundFormat, samples: int | None = None, rate: int = SAMPLE_RATE) -> None:
    """Check that a file has what its header promises.

    Args:
        path: The file.
        found: Its header.
        samples: Samples of each channel that were read up to its end; None before it is read.
        rate: Their rate.

    Raises:
        AudioError: It ends early, or holds no sound.
    """
    if samples == 0 and not found.lacking:
        raise SoundFileError("empty", f"{path}: holds no samples")
    # Another rate rounds the number of samples.
    read = None if samples is None else math.ceil(samples * found.rate / rate)
    rounding = 0 if found.rate == rate else math.ceil(found.rate / rate)
    if found.lacking or (read is not None and found.missing(read + rounding)):
        text = f"{path}: truncated, it ends {found.missing(read or 0)} early"
        raise SoundFileError("truncated", text, "Copy the file again; a part of it would be scored as whole.")


def full_window(path: Path, signal: Signal, size: int) -> Signal:
    """Return a signal of at least a window: one that lacks less than a millisecond is padded with its last sample.

    Args:
        path: The file, for the error.
        signal: Shape (samples, …), 16 kHz.
        size: Samples of a window.

    Raises:
        AudioError: It is shorter.
    """
    missing = size - len(signal)
    if missing > PADDED_SECONDS * SAMPLE_RATE:
        raise AudioError(f"{path}: {too_short(len(signal), SAMPLE_RATE, size)}", "Record at least that much.")
    return np.pad(signal, [(0, missing), *[(0, 0)] * (signal.ndim - 1)], mode="edge") if missing > 0 else signal


def too_short(samples: int, rate: int, size: int) -> str:
    """Return that a recording is shorter than a window of `size` samples at 16 kHz, in words."""
    wanted = math.ceil(size * rate / SAMPLE_RATE)
    return (
        f"{samples} samples at {rate} Hz ({samples / rate:.4g} s) are fewer than the {wanted} of a window "
        f"({size / SAMPLE_RATE:g} s)"
    )


def changes_of(path: Path, found: SoundFormat, rate: int = SAMPLE_RATE, channel: int | None = None) -> tuple[str, ...]:
    """Return what reading changes in a recording, one sentence each."""
    changes = []
    if channel is None and found.channels > 1:
        changes.append(f"{path}: {found.channels} channels averaged to one")
    if found.rate != rate:
        changes.append(f"{path}: resampled from {found.rate} Hz to {rate} Hz")
    if found.surplus:
        changes.append(f"{path}: {surplus_text(found)}")
    return tuple(changes)


def surplus_text(found: SoundFormat) -> str:
    """Return that a recording is longer than the length in its header, in words."""
    seconds, more = (found.declared or 0) / found.rate, found.surplus / found.rate
    return f"its header names {seconds:.1f} s, {more:.1f} s follow; read to its end"


def count_samples(path: Path, rate: int = SAMPLE_RATE) -> int:
    """Return how many samples of each channel `read_blocks` gives at a rate; 0 where the file cannot be read.

    A flac file whose last sample cannot be found is decoded.
    """
    try:
        found = read_format(path)
        if found.encoding != "flac":
            length = (found.end - found.begin) // found.sample_bytes
        else:
            length = found.declared or 0
            if not has_sample(path, length - 1):
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
