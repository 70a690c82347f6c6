"""Clips as windows: what every expert observes, in training and in calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, read_clip
from asd_agent.errors import DataError
from asd_trainer.data.layout import Clip
from asd_trainer.engine.progress import StageProgress

WINDOW_SECONDS = 10.0
WINDOW_SAMPLES = round(WINDOW_SECONDS * SAMPLE_RATE)


@dataclass(frozen=True)
class ClipWindows:
    """The first window of each clip; int16 keeps thousands of them in memory.

    Attributes:
        clips: In the order of the rows.
        samples: Shape (clips, samples), 16 kHz.
    """

    clips: tuple[Clip, ...]
    samples: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.clips)

    def floats(self, index: int | slice | npt.NDArray[np.intp] = slice(None)) -> npt.NDArray[np.float32]:
        """Rows as the agent sees them, full scale ±1."""
        return self.samples[index].astype(np.float32) / 32768.0

    def only(self, index: npt.NDArray[np.intp] | Sequence[int]) -> ClipWindows:
        """Some of the clips."""
        return ClipWindows(tuple(self.clips[i] for i in index), self.samples[np.asarray(index, dtype=np.intp)])


def load_windows(clips: Sequence[Clip], progress: StageProgress | None = None) -> ClipWindows:
    """Read clips.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window.
    """
    samples = np.empty((len(clips), WINDOW_SAMPLES), dtype=np.int16)
    for row, clip in enumerate(clips):
        signal = read_clip(clip.path).samples
        if len(signal) < WINDOW_SAMPLES:
            raise DataError(
                f"{clip.path}: {len(signal) / SAMPLE_RATE:.2f} s is shorter than a window of {WINDOW_SECONDS:g} s",
                "Leave it out; `asd-trainer inspect` lists every such clip.",
            )
        samples[row] = np.clip(np.round(signal[:WINDOW_SAMPLES] * 32768.0), -32768, 32767)
        if progress:
            progress("clips read", row + 1, len(clips))
    return ClipWindows(tuple(clips), samples)
