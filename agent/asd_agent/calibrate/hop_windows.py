"""Windows at a monitor's hop in contiguous sound that is kept as clips, one window each.

Alarm rates are counted on windows at the hop of the monitor. Where a clip continues the one before, windows that begin
in one and end in the next are cut from both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rule import Rule
from asd_agent.audio.files import SAMPLE_RATE

Float = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
_Sample = TypeVar("_Sample", np.float32, np.int16)


@dataclass(frozen=True)
class HopWindows:
    """Places of the windows at a hop among clips in the order of time.

    Attributes:
        begins: Row of the clip in which each window between two clips begins, shape (windows,).
        offsets: Its first sample in that clip, shape (windows,).
        stretches: For each contiguous stretch, its windows in the order of time: a row of the clips, or the number of
            clips plus the number of a window between two.
        clips: Number of clips.
    """

    begins: Rows
    offsets: Rows
    stretches: tuple[Rows, ...]
    clips: int

    @classmethod
    def of(cls, follows: Sequence[bool] | npt.NDArray[np.bool_], rule: Rule) -> HopWindows:
        """Return the windows of every stretch that is long enough for the rule to raise.

        Args:
            follows: Whether each clip continues the one before without a gap, shape (clips,).
            rule: Hop, and the length of a clip.

        >>> hops = HopWindows.of([False, True, True, False], Rule())
        >>> hops.begins.tolist(), hops.offsets.tolist(), [s.tolist() for s in hops.stretches]
        ([0, 1], [80000, 80000], [[0, 4, 1, 5, 2]])
        """
        size, hop = round(rule.window_seconds * SAMPLE_RATE), max(1, round(rule.hop_seconds * SAMPLE_RATE))
        starts = np.flatnonzero(~np.asarray(follows, dtype=np.bool_))
        begins: list[int] = []
        offsets: list[int] = []
        stretches = []
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(follows)], strict=True):
            places = np.arange(0, (end - start - 1) * size + 1, hop)
            if len(places) < max(2, rule.n):
                continue
            rows = []
            for place in places.tolist():
                row, offset = start + place // size, place % size
                rows.append(row if offset == 0 else len(follows) + len(begins))
                if offset:
                    begins.append(row)
                    offsets.append(offset)
            stretches.append(np.array(rows, dtype=np.intp))
        return cls(np.array(begins, np.intp), np.array(offsets, np.intp), tuple(stretches), len(follows))

    def within(self, rows: Sequence[int]) -> Rows:
        """Return the numbers of the windows between two clips both of which are among some rows."""
        known = np.zeros(self.clips + 1, dtype=np.bool_)
        known[list(rows)] = True
        return np.flatnonzero(known[self.begins] & known[self.begins + 1])

    def cut(self, clips: npt.NDArray[_Sample], chosen: Rows) -> npt.NDArray[_Sample]:
        """Return windows between two clips.

        Args:
            clips: Clips, shape (clips, samples).
            chosen: Numbers of the windows.

        Returns:
            Shape (windows, samples).
        """
        places = zip(self.begins[chosen].tolist(), self.offsets[chosen].tolist(), strict=True)
        parts = [np.concatenate([clips[row, offset:], clips[row + 1, :offset]]) for row, offset in places]
        return np.stack(parts) if parts else clips[:0]

    def series(self, clips: Float, between: Float) -> list[Float]:
        """Return the scores of each stretch; one without a score in between becomes two.

        Args:
            clips: Score of each clip, NaN where there is none, shape (clips,).
            between: Likewise of each window between two clips.
        """
        scores = np.concatenate([clips, between])
        found: list[Float] = []
        for rows in self.stretches:
            own = scores[rows]
            cuts = np.flatnonzero(np.diff(np.isfinite(own).astype(np.int8)) != 0) + 1
            found += [part for part in np.split(own, cuts) if np.isfinite(part[0])]
        return found
