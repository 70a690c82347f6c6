"""Counters of one source, and the meter of its level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.quality import FLOOR_DBFS

_LEVEL_SECONDS = 1.0
"""Time constant: short enough for a meter that is watched, long enough to read a number."""


@dataclass(frozen=True)
class SourceCounters:
    """Counters of a source since it was started.

    Attributes:
        samples: Samples recorded, of each channel.
        gaps: Stretches that were lost.
        samples_lost: Samples that were lost, of each channel.
        restarts: Times that the child was replaced.
        overflows: Times that the device lost sound because it was not fetched.
        drops: Times that the child lost sound because this process did not fetch it.
        skipped: Recordings that could not be read.
        wall_steps: Steps of the wall clock that were followed.
        level_dbfs: Level of the last second or so, the loudest channel's.
        drift_ppm: Excess of a sample's duration over the nominal one by the monotonic clock, in parts per million.
    """

    samples: int = 0
    gaps: int = 0
    samples_lost: int = 0
    restarts: int = 0
    overflows: int = 0
    drops: int = 0
    skipped: int = 0
    wall_steps: int = 0
    level_dbfs: float = FLOOR_DBFS
    drift_ppm: float = 0.0


class LevelMeter:
    """Level of the last second or so.

    Args:
        channels: Channels of the source; the loudest one counts.
    """

    def __init__(self, channels: int) -> None:
        self._power: npt.NDArray[np.float64] = np.zeros(channels)

    def add(self, samples: Signal) -> None:
        """Take samples, shape (samples, channels)."""
        if len(samples):
            share = 1 - math.exp(-len(samples) / SAMPLE_RATE / _LEVEL_SECONDS)
            self._power += share * (np.nan_to_num(samples.astype(np.float64).var(axis=0)) - self._power)

    def reset(self) -> None:
        """Fall to silence, since the source is gone."""
        self._power[:] = 0.0

    @property
    def dbfs(self) -> float:
        """Level in dB relative to full scale; `FLOOR_DBFS` for silence."""
        power = float(self._power.max())
        return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS
