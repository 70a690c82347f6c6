"""Recordings from disk, as the mono 16 kHz signal that everything else expects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.errors import AudioError

Signal = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000
"""Hz; the rate of every window inside the agent and the trainer."""


@dataclass(frozen=True)
class Audio:
    """One recording, mixed down and resampled.

    Attributes:
        samples: Mono signal, shape (samples,), full scale is ±1.
        rate_in: Rate of the file in Hz.
        channels_in: Channels of the file.
        warnings: What was changed on the way in, one sentence each.
    """

    samples: Signal
    rate_in: int
    channels_in: int
    warnings: tuple[str, ...] = field(default=())


def read_clip(path: Path, rate: int = SAMPLE_RATE, channel: int | None = None) -> Audio:
    """Read a wav or flac file.

    Args:
        path: The file.
        rate: Wanted rate in Hz; another one is resampled (soxr, high quality) with a warning.
        channel: Take this channel, counted from 0; None averages all of them with a warning.

    Raises:
        AudioError: The file is missing, is no audio, is shorter than it says, or holds NaN.
    """
    import soundfile

    if not path.is_file():
        raise AudioError(f"{path}: no such file", "Give the path of a wav or flac recording.")
    try:
        with soundfile.SoundFile(path) as file:
            rate_in, channels, expected = file.samplerate, file.channels, file.frames
            data = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(
            f"{path}: not readable as audio ({_reason(error)})",
            "Record or copy the file again; wav and flac are read.",
        ) from error
    missing = _missing_bytes(path, expected - len(data))
    if len(data) == 0:
        raise AudioError(f"{path}: holds no samples", "Record or copy the file again.")
    if missing:
        raise AudioError(
            f"{path}: truncated, it ends {missing} early",
            "Copy the file again; a part of it would be scored as whole.",
        )
    if not np.isfinite(data).all():
        raise AudioError(f"{path}: holds NaN or infinite samples", "Export the recording again as 16-bit PCM.")
    warnings: list[str] = []
    if channel is not None:
        if not 0 <= channel < channels:
            raise AudioError(
                f"{path}: has no channel {channel}, only {channels}",
                f"Use a channel from 0 to {channels - 1}.",
            )
        signal = data[:, channel]
    elif channels > 1:
        signal = data.mean(axis=1)
        warnings.append(f"{path}: {channels} channels averaged to one")
    else:
        signal = data[:, 0]
    if rate_in != rate:
        signal = resample(signal, rate_in, rate)
        warnings.append(f"{path}: resampled from {rate_in} Hz to {rate} Hz")
    return Audio(np.ascontiguousarray(signal, dtype=np.float32), rate_in, channels, tuple(warnings))


def resample(signal: Signal, rate_in: int, rate_out: int) -> Signal:
    """A whole signal at another rate, shape (samples,)."""
    import soxr

    out: Signal = soxr.resample(signal, rate_in, rate_out, quality="HQ").astype(np.float32)
    return out


def _reason(error: BaseException) -> str:
    text = str(error).rsplit(": ", 1)[-1].strip().rstrip(".")
    return text or type(error).__name__


def _missing_bytes(path: Path, missing_frames: int) -> str:
    """How much a file lacks of what its header promises; empty if it is whole.

    libsndfile reads a truncated wav without complaint, so the RIFF header is asked as well.
    """
    if missing_frames > 0:
        return f"{missing_frames} samples"
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
                streaming = length >= 0xFFFF_FF00  # an unfinished header of a streamed file
                lacking = position + 8 + length - size
                return f"{lacking} bytes" if lacking > 0 and not streaming else ""
            position += 8 + length + (length & 1)
