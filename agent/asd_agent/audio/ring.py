"""Ring buffer: the sound of the last minute, counted in samples, with lost stretches marked as gaps.

One thread writes; any number read copies.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal


class Missing(Enum):
    """Reasons why a stretch of sound is not in the ring."""

    NOT_YET = "not yet recorded"
    OVERWRITTEN = "no longer kept"


@dataclass(frozen=True)
class Gap:
    """Samples `first` up to, not including, `end` that were lost; the ring holds zeros there."""

    first: int
    end: int

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.end - self.first


@dataclass(frozen=True)
class Stretch:
    """Copy of consecutive samples.

    Attributes:
        samples: Shape (samples, channels); zeros in gaps.
        first: Index of the first sample.
        gaps: Lost parts, clipped to the stretch.
    """

    samples: Signal
    first: int
    gaps: tuple[Gap, ...] = ()

    @property
    def end(self) -> int:
        """Index after the last sample."""
        return self.first + len(self.samples)

    @property
    def has_gap(self) -> bool:
        """True where any sample of it was lost."""
        return bool(self.gaps)


class Ring:
    """Newest samples of one source.

    Args:
        seconds: Length of sound that is kept.
        channels: Channels of the source.
        rate: Samples per second.
    """

    def __init__(self, seconds: float = 60.0, channels: int = 1, rate: int = SAMPLE_RATE) -> None:
        self.rate = rate
        self.channels = channels
        self.capacity = round(seconds * rate)
        if self.capacity < 1 or channels < 1:
            raise ValueError("a ring keeps at least one sample of one channel")
        self._kept = np.zeros((self.capacity, channels), dtype=np.float32)
        self._end = 0
        self._gaps: deque[Gap] = deque()
        self._changed = threading.Condition()

    @property
    def end(self) -> int:
        """Index after the newest sample; the number of samples since the start, gaps included."""
        with self._changed:
            return self._end

    @property
    def begin(self) -> int:
        """Index of the oldest sample that is still kept."""
        with self._changed:
            return self._begin()

    def write(self, samples: Signal) -> None:
        """Append samples, shape (samples, channels)."""
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise ValueError(f"expected samples of shape (samples, {self.channels}), got {samples.shape}")
        with self._changed:
            self._put(samples[-self.capacity :], skipped=max(0, len(samples) - self.capacity))
            self._changed.notify_all()

    def write_gap(self, count: int) -> None:
        """Append samples that were lost."""
        if count <= 0:
            return
        with self._changed:
            first = self._end
            kept = min(count, self.capacity)
            self._put(np.zeros((kept, self.channels), dtype=np.float32), skipped=count - kept)
            if self._gaps and self._gaps[-1].end == first:
                first = self._gaps.pop().first
            self._gaps.append(Gap(first, self._end))
            self._changed.notify_all()

    def mark_gap(self, first: int, end: int) -> None:
        """Declare kept samples as lost, because their times turned out to be wrong."""
        with self._changed:
            first, end = max(first, self._begin()), min(end, self._end)
            if first < end:
                joined = [gap for gap in self._gaps if gap.end >= first and gap.first <= end]
                apart = [gap for gap in self._gaps if gap not in joined]
                whole = Gap(min([first, *(g.first for g in joined)]), max([end, *(g.end for g in joined)]))
                self._gaps = deque(sorted([*apart, whole], key=lambda gap: gap.first))

    def read(self, first: int, count: int) -> Stretch | Missing:
        """Copy a stretch of sound.

        Args:
            first: Index of its first sample.
            count: Number of samples, at most what the ring keeps.

        Returns:
            The stretch, or the reason why it is not there.
        """
        if count > self.capacity:
            raise ValueError(f"{count} samples are more than the ring keeps ({self.capacity})")
        with self._changed:
            if first < self._begin():
                return Missing.OVERWRITTEN
            if first + count > self._end:
                return Missing.NOT_YET
            start = first % self.capacity
            samples = np.concatenate(
                (self._kept[start : start + count], self._kept[: max(0, start + count - self.capacity)])
            )
            return Stretch(samples, first, self._gaps_within(first, first + count))

    def wait_for(self, end: int, timeout: float) -> bool:
        """Sleep until the sample before `end` is there; False when `timeout` seconds passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._end >= end, timeout)

    def wake(self) -> None:
        """Wake all waiting readers: something other than sound has changed."""
        with self._changed:
            self._changed.notify_all()

    def _begin(self) -> int:
        return max(0, self._end - self.capacity)

    def _put(self, samples: Signal, skipped: int) -> None:
        start = (self._end + skipped) % self.capacity
        head = min(len(samples), self.capacity - start)
        self._kept[start : start + head] = samples[:head]
        self._kept[: len(samples) - head] = samples[head:]
        self._end += skipped + len(samples)
        while self._gaps and self._gaps[0].end <= self._begin():
            self._gaps.popleft()

    def _gaps_within(self, first: int, end: int) -> tuple[Gap, ...]:
        return tuple(Gap(max(g.first, first), min(g.end, end)) for g in self._gaps if g.first < end and g.end > first)
