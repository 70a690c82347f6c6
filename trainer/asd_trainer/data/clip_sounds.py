"""Clips as samples and log-mels together: what networks learn from that hear sounds altered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_trainer.data.clip_windows import load_windows
from asd_trainer.data.layout import Clip


@dataclass(frozen=True)
class Sounds:
    """Clips to learn from.

    Attributes:
        samples: Shape (clips, samples), 16 kHz.
        features: Their log-mels in decibels, shape (clips, frames, n_mels).
        names: Of the clips, for error messages.
    """

    samples: npt.NDArray[np.int16]
    features: npt.NDArray[np.float32]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def without(self, index: npt.NDArray[np.intp]) -> Sounds:
        """All but some of them."""
        kept = np.setdiff1d(np.arange(len(self)), index)
        return Sounds(self.samples[kept], self.features[kept], [self.names[i] for i in kept])


def hear(samples: npt.NDArray[np.int16], names: Sequence[str], spec: FeatureSpec) -> Sounds:
    """Windows with their log-mels, shape (clips, samples)."""
    features = np.empty((len(samples), spec.frames(samples.shape[1]), spec.n_mels), np.float32)
    for row, one in enumerate(samples):
        features[row] = log_mel(one.astype(np.float32) / 32768.0, spec)
    return Sounds(samples, features, list(names))


def hear_clips(clips: Sequence[Clip], spec: FeatureSpec) -> Sounds:
    """The first window of each clip.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window.
    """
    return hear(load_windows(clips).samples, [c.path.name for c in clips], spec)
