"""Clips in memory: what every network learns from, and what every scorer is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rule import Rule
from asd_agent.audio.files import SAMPLE_RATE, full_window, read_clip
from asd_agent.bundle.files import file_digest
from asd_agent.calibrate.hop_windows import HopWindows
from asd_agent.errors import DataError
from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_agent.parallel import in_order
from asd_trainer.data.cache import Cache
from asd_trainer.data.layout import Clip
from asd_trainer.engine.progress import StageProgress

WINDOW_SECONDS = 10.0
WINDOW_SAMPLES = round(WINDOW_SECONDS * SAMPLE_RATE)
LEAST_STD_DB = 0.1
"""Smallest standard deviation by which networks divide a mel band: a band that never changes in training (above the
microphone's own cut-off) must not magnify later noise."""
Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClipSet:
    """Clips row by row: the first window of each, its log-mel, and what a network is to learn of it.

    Arrays that nobody asked for are empty.

    Attributes:
        names: Names of the clips, for error messages.
        recordings: Recording of each clip; clips of one recording are never on both sides of a fold.
        samples: Shape (clips, samples), 16 kHz; int16 keeps thousands of clips in memory.
        features: Log-mels in decibels, shape (clips, frames, n_mels); may be a memory map.
        sections: Scaled section value of each clip, shape (clips,).
        classes: Place of each clip's class among `class_names`, shape (clips,).
        class_names: Classes in words, such as `fan 00 source vel=6`.
        follows: Whether each clip continues the one before without a gap, shape (clips,).
    """

    names: tuple[str, ...]
    recordings: tuple[str, ...] = ()
    samples: npt.NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    features: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    sections: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    classes: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    class_names: tuple[str, ...] = ()
    follows: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __len__(self) -> int:
        return len(self.names)

    def floats(self, index: int | slice | npt.NDArray[np.intp] = slice(None)) -> npt.NDArray[np.float32]:
        """Return windows as the agent receives them, full scale ±1."""
        return self.samples[index].astype(np.float32) / 32768.0

    def only(self, index: npt.NDArray[np.intp] | Sequence[int]) -> ClipSet:
        """Return some of the clips, in the order of `index`."""
        rows = np.asarray(index, dtype=np.intp)
        arrays = {name: getattr(self, name) for name in ("samples", "features", "sections", "classes")}
        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            recordings=tuple(self.recordings[i] for i in rows) if self.recordings else (),
            follows=self.follows[rows] & (np.diff(rows, prepend=-1) == 1) if len(self.follows) else self.follows,
            **{name: array[rows] if len(array) else array for name, array in arrays.items()},
        )

    def without(self, index: npt.NDArray[np.intp] | Sequence[int]) -> ClipSet:
        """Return all other clips."""
        return self.only(np.setdiff1d(np.arange(len(self)), np.asarray(index, dtype=np.intp)))

    def hops(self, rule: Rule) -> HopWindows:
        """Return the windows at a rule's hop in the clips that are contiguous."""
        return HopWindows.of(self.follows if len(self.follows) else np.zeros(len(self), np.bool_), rule)

    def with_log_mels(self, spec: FeatureSpec) -> ClipSet:
        """Return the same clips with the log-mels of their windows."""
        features = np.empty((len(self), spec.frames(self.samples.shape[1]), spec.n_mels), np.float32)
        for row, computed in enumerate(in_order(lambda row: log_mel(self.floats(row), spec), range(len(self)))):
            features[row] = computed
        return replace(self, features=features)

    def check_log_mels(self) -> None:
        """Check that there are clips, each with a log-mel, a section value and a name.

        Raises:
            DataError: There are none, or they do not fit together.
        """
        counts = len(self.features), len(self.sections), len(self.names)
        if len(set(counts)) > 1 or self.features.ndim != 3 or len(self) == 0:
            raise DataError(
                f"features {self.features.shape}, {counts[1]} sections and {counts[2]} names do not fit together",
                "Give one section and one name for each of at least one clip.",
            )

    def band_statistics(self) -> tuple[Float, Float]:
        """Return mean and standard deviation of each mel band over clips and frames, each of shape (n_mels,).

        Raises:
            DataError: A clip holds a value that is not finite.
        """
        features = self.features
        total, squares = np.zeros(features.shape[2]), np.zeros(features.shape[2])
        shift = np.asarray(features[0], dtype=np.float64).mean(axis=0)  # keeps the difference of squares exact
        for clip, name in zip(features, self.names, strict=True):
            check_finite(clip, name)
            moved = clip.astype(np.float64) - shift
            total += moved.sum(axis=0)
            squares += (moved**2).sum(axis=0)
        count = features.shape[0] * features.shape[1]
        mean = total / count
        return mean + shift, np.sqrt(np.maximum(squares / count - mean**2, 0.0))


def check_finite(features: npt.NDArray[np.floating], name: str) -> None:
    """Check the features of one clip.

    Raises:
        DataError: A value is not finite.
    """
    if not np.isfinite(features).all():
        raise DataError(f"clip {name} has features that are not finite", "Remove or repair that recording.")


def load_clips(clips: Sequence[Clip], progress: StageProgress | None = None) -> ClipSet:
    """Read the first window of each clip.

    Raises:
        AudioError: A clip cannot be read or is shorter than a window.
    """
    samples = np.empty((len(clips), WINDOW_SAMPLES), dtype=np.int16)
    follows, whole = np.zeros(len(clips), dtype=np.bool_), False
    for row, (window, is_whole) in enumerate(in_order(_first_window, clips)):
        follows[row] = whole and clips[row].continues(clips[row - 1])
        samples[row], whole = window, is_whole
        if progress:
            progress("clips read", row + 1, len(clips))
    return ClipSet(tuple(c.path.name for c in clips), tuple(c.recording for c in clips), samples, follows=follows)


def _first_window(clip: Clip) -> tuple[npt.NDArray[np.int16], bool]:
    """Return the first window of a clip, and whether it is the whole clip."""
    signal = read_clip(clip.path, seconds=2 * WINDOW_SECONDS).samples
    window = full_window(clip.path, signal, WINDOW_SAMPLES)[:WINDOW_SAMPLES]
    return np.clip(np.round(window * 32768.0), -32768, 32767).astype(np.int16), len(signal) == WINDOW_SAMPLES


def load_log_mels(clips: Sequence[Clip], spec: FeatureSpec, cache: Cache | None = None) -> ClipSet:
    """Read the log-mels of clips, without their samples; those of a `cache` are not computed again.

    Raises:
        AudioError: A clip cannot be read or is shorter than a window.
    """
    features = np.empty((len(clips), spec.frames(WINDOW_SAMPLES), spec.n_mels), np.float32)

    def one(clip: Clip) -> npt.NDArray[np.float32]:
        make = partial(_log_mel_of, clip, spec)
        return cache.array(file_digest(clip.path), spec, make) if cache else make()

    for row, log_mel_of_clip in enumerate(in_order(one, clips)):
        features[row] = log_mel_of_clip
    return ClipSet(tuple(c.path.name for c in clips), tuple(c.recording for c in clips), features=features)


def _log_mel_of(clip: Clip, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    window, _ = _first_window(clip)
    return log_mel(window.astype(np.float32) / 32768.0, spec)
