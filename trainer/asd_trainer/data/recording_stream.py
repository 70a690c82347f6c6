"""One long recording as clips, read block by block, with notes on what is left out, changed or damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asd_agent.audio.files import (
    SAMPLE_RATE,
    Signal,
    check_channels,
    read_blocks,
    recorded_below,
    resampler,
    surplus_text,
)
from asd_agent.audio.quality import QualityLimits, assess
from asd_agent.audio.sound_header import read_format
from asd_agent.errors import AudioError

_REASONS = {
    "silence": "digital silence",
    "dc": "a constant offset instead of sound",
    "not_finite": "NaN or infinite samples",
}


class RecordingStream:
    """One recording as clips, read block by block.

    Args:
        path: The file.
        channel: Channel to take, counted from 0; None averages all channels.
        seconds: Length of a clip.

    Attributes:
        read: Seconds read so far.
        notes: Sentences about what was left out or converted.
        problems: Sentences about sound that cannot be read.
    """

    def __init__(self, path: Path, channel: int | None, seconds: float) -> None:
        self._path, self._channel, self._seconds = path, channel, seconds
        self.read = 0.0
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._not_finite: Counter[int] = Counter()
        self._clipped: Counter[int] = Counter()

    def clips(self) -> Iterator[tuple[int, Signal]]:
        """Yield the clips to keep with their position in the recording, shape (samples,), 16 kHz."""
        size = round(self._seconds * SAMPLE_RATE)
        held: list[Signal] = []
        position = 0
        for block in self._resampled():
            held.append(block)
            while sum(map(len, held)) >= size:
                joined = np.concatenate(held)
                clip, held = joined[:size], [joined[size:]]
                if self._is_usable(clip, position):
                    yield position, clip
                position += 1
        if left := sum(map(len, held)):
            self.notes.append(f"the last {left / SAMPLE_RATE:.1f} s are not a whole clip and were left out")

    def _is_usable(self, clip: Signal, position: int) -> bool:
        limits = QualityLimits()
        reasons = ["not_finite"] if self._not_finite[position] else list(assess(clip, limits=limits).reasons)
        where = f"{self._clock(position)} to {self._clock(position + 1)}"
        bad = [r for r in reasons if r in _REASONS]
        if bad:
            self.notes.append(f"{where} was left out: {_REASONS[bad[0]]}")
            return False
        share = self._clipped[position] / (self._seconds * self._rate)
        if share > limits.clip_share:
            self.notes.append(f"{where} clips: {100 * share:.1f} % of its samples are at full scale")
        return True

    def _clock(self, position: int) -> str:
        return f"{position * self._seconds:g} s"

    def _resampled(self) -> Iterator[Signal]:
        """Yield the chosen signal at 16 kHz, equal to the whole resampled at once."""
        convert = None
        for block in self._blocks():
            if convert is None:
                convert = resampler(self._rate, SAMPLE_RATE, 1)
            yield convert(block[:, None], False)[:, 0]
        if convert is not None:
            yield convert(np.empty((0, 1), np.float32), True)[:, 0]

    def _blocks(self) -> Iterator[Signal]:
        """Yield the chosen channel or the mean, finite, at the rate of the recording."""
        position = 0
        try:
            found = read_format(self._path)
            self._rate: int = found.rate
            if self._channel is None:
                check_channels(self._path, found)
                if found.channels > 1:
                    self.notes.append(f"{found.channels} channels were averaged to one")
            if found.rate < SAMPLE_RATE:
                self.notes.append(recorded_below(found.rate))
            if found.rate != SAMPLE_RATE:
                self.notes.append(f"resampled from {found.rate} Hz to {SAMPLE_RATE} Hz")
            if found.surplus:
                self.notes.append(surplus_text(found))
            second = found.rate * found.channels  # so that no more than a second before damage is lost
            channels = None if self._channel is None else [self._channel]
            for block in read_blocks(self._path, rate=None, channels=channels, block_values=second):
                yield self._mixed(block, position)
                position += len(block)
                self.read = position / found.rate
        except AudioError as error:
            reason = error.what.removeprefix(f"{self._path}: ")
            self.problems.append(reason if position == 0 else f"damaged from {self.read:.1f} s on: {reason}")
            return
        if missing := found.missing(position):
            self.problems.append(f"truncated: it ends {missing} early, at {self.read:.1f} s")

    def _mixed(self, block: Signal, position: int) -> Signal:
        finite = np.isfinite(block)
        per_clip = self._seconds * self._rate
        for mask, count in (
            (~finite.all(axis=1), self._not_finite),
            ((np.abs(block) >= QualityLimits().clip_level).any(axis=1), self._clipped),
        ):
            numbers, times = np.unique((np.flatnonzero(mask) + position) // per_clip, return_counts=True)
            count.update(dict(zip(numbers.astype(int).tolist(), times.tolist(), strict=True)))
        signal: Signal = np.where(finite, block, np.float32(0)).mean(axis=1, dtype=np.float32)
        return signal
