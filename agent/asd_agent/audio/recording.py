"""Clips in the layout of DCASE, written from windows and numbered on from those that are there."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.machine_gate import with_stops
from asd_agent.audio.quality import SoundQuality
from asd_agent.audio.window_source import SoundWindow
from asd_agent.errors import AudioError
from asd_agent.whole_files import STAGE, write_whole

CLIP_SECONDS = 10
CLIP_SAMPLES = CLIP_SECONDS * SAMPLE_RATE
CLIPS_A_RECORDING = 30
"""Five minutes: a block that long is held out as a whole."""
_NUMBER = re.compile(r"section_(\d{2})_(source|target)_train_normal_(\d{4,})(?:_.*)?\.wav\Z")


@dataclass(frozen=True)
class ClipFolder:
    """Folder of clips: OUT/<machine>/train/section_<section>_<domain>_train_normal_<number>_rec_<recording>.wav.

    A recording is held out as a whole when thresholds are set: a block of five minutes, named by the time at which
    the recording began.

    Attributes:
        folder: OUT.
        machine: Machine type.
        section: Two digits.
        domain: `source` or `target`.
        began: Name of this call's recordings, such as 20270115T0800.
    """

    folder: Path
    machine: str
    section: str
    domain: str
    began: str

    @property
    def train(self) -> Path:
        """Folder of the clips."""
        return self.folder / self.machine / "train"

    def path(self, number: int, first: int = 0) -> Path:
        """Return the path of a clip by its number, for a call whose clips begin with the number `first`."""
        block = (number - first) // CLIPS_A_RECORDING
        name = f"section_{self.section}_{self.domain}_train_normal_{number:04d}_rec_{self.began}b{block}.wav"
        return self.train / name

    def numbers(self) -> list[int]:
        """Return the numbers of the clips that are there, in order."""
        found = (_NUMBER.match(p.name) for p in self.train.glob("section_*.wav"))
        return sorted(int(m[3]) for m in found if m and (m[1], m[2]) == (self.section, self.domain))


@dataclass
class ClipCounts:
    """Counts of windows by outcome.

    Attributes:
        kept: Clips written.
        refused: Windows that were refused, by the gravest reason.
    """

    kept: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def record_clips(
    windows: Iterable[SoundWindow],
    folder: ClipFolder,
    wanted: int,
    counts: ClipCounts,
    level_above_dbfs: float | None = None,
) -> Iterator[tuple[SoundWindow, SoundQuality]]:
    """Write good windows as clips until so many were written, and yield each window with its quality.

    Args:
        windows: Windows of `CLIP_SAMPLES` samples.
        folder: Folder that the clips go to.
        wanted: Number of clips to write.
        counts: Counted up.
        level_above_dbfs: The machine runs while its sound is louder than this; None where nothing tells.

    Raises:
        AudioError: A clip cannot be written; those before are there.
    """
    for left in folder.train.glob(f"{STAGE}*"):  # left by a call that was killed
        left.unlink(missing_ok=True)
    first = number = max(folder.numbers(), default=-1) + 1
    if counts.kept >= wanted:
        return
    for window, quality, stop in with_stops(windows, level_above_dbfs):
        if stop is not None or quality.reasons:
            counts.refused[stop or quality.reasons[0]] += 1
        else:
            try:
                write_whole(folder.path(number, first), _wav(window))
            except OSError as error:
                raise AudioError(f"{folder.path(number, first)}: cannot be written ({error.strerror})") from error
            number, counts.kept = number + 1, counts.kept + 1
        yield window, quality
        if counts.kept >= wanted:
            return


def _wav(window: SoundWindow) -> bytes:
    packed = io.BytesIO()
    exact = np.clip(np.round(window.signal.astype(np.float64) * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(packed, exact, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return packed.getvalue()
