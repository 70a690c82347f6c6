"""Clip of an alarm: cut from the ring, and encoded so that every sample can be read back."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.ring import Gap, Missing, Ring

_FULL_SCALE = 1 << 23
"""Full scale of 24 bits per sample: floats of a sound card or of 16-bit samples are kept exactly."""


@dataclass(frozen=True)
class ClipSound:
    """Stretch of one channel.

    Attributes:
        samples: Shape (samples,); zeros in gaps.
        first: Index of the first sample.
        gaps: Stretches that were lost.
        lacks: `beginning` or `end`, where it is shorter than wanted.
    """

    samples: Signal
    first: int
    gaps: tuple[Gap, ...]
    lacks: tuple[str, ...]

    @property
    def end(self) -> int:
        """Index after the last sample."""
        return self.first + len(self.samples)

    def seconds(self, index: int) -> float:
        """Return the seconds from the start of the clip to a sample."""
        return (index - self.first) / SAMPLE_RATE


def cut_clip(ring: Ring, column: int, first: int, end: int) -> ClipSound | None:
    """Copy samples `first` up to, not including, `end`, or as many of them as there are.

    Args:
        ring: Ring of the source.
        column: Column of the ring.
        first: Index of the first sample; below zero where the source had not started.
        end: Index after the last.

    Returns:
        The clip; None where no sample of it is there.
    """
    while True:
        begin = max(first, ring.begin)
        stop = min(end, ring.end)
        if stop <= begin:
            return None
        stretch = ring.read(begin, stop - begin)
        if not isinstance(stretch, Missing):
            break
        # The ring was written between the two reads; the next one finds a later beginning.
    lacks = (*(["beginning"] if begin > first else []), *(["end"] if stop < end else []))
    return ClipSound(stretch.samples[:, column].copy(), begin, stretch.gaps, lacks)


def to_flac(samples: Signal) -> bytes:
    """Return the samples as a FLAC file of 24 bits per sample.

    Args:
        samples: Shape (samples,), full scale ±1; NaN is written as zero.
    """
    import soundfile

    finite = np.nan_to_num(np.asarray(samples, dtype=np.float64), nan=0.0, posinf=1.0, neginf=-1.0)
    numbers = np.clip(np.rint(finite * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int32)
    # A file of the kernel: for a Python object soundfile needs memory that is writable and executable (`VirtualFile`).
    with os.fdopen(os.memfd_create("clip"), "rb") as file:
        with soundfile.SoundFile(file.fileno(), "w", SAMPLE_RATE, 1, "PCM_24", format="FLAC", closefd=False) as sound:
            # As integers: libsndfile scales floats by 2^23 - 1, which would not read back exactly.
            sound.write(numbers << 8)
        file.seek(0)
        return bytes(file.read())
