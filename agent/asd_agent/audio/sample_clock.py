"""Where a block goes in the ring: after what was heard, or after a gap as long as the time that was missed.

The sample index keeps to the monotonic clock through restarts, overflows and sound that a device loses in silence.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.gap_filling import Timeline
from asd_agent.audio.protocol import Block
from asd_agent.audio.ring import Ring
from asd_agent.clock import Clock

_MARGIN_SECONDS = 1.0
"""While a source is away the ring is filled with gap up to this long ago."""
_WATCH_SECONDS = 2.0
_LATE_SECONDS = 0.04
"""A source whose every block for `_WATCH_SECONDS` is later than this has lost sound without saying so."""
_WALL_STEP_SECONDS = 0.05
_STEADY_SECONDS = 0.005
"""Two clocks read further apart than this are read again next time."""


@dataclass
class Losses:
    """What was not heard."""

    gaps: int = 0
    samples: int = 0


class SampleClock:
    """Writes blocks and gaps into a ring and knows the moment of every sample.

    Args:
        ring: The ring.
        clock: The box's clocks.
        speed: Seconds of recording a second; None for a microphone.
    """

    def __init__(self, ring: Ring, clock: Clock, *, speed: float | None = None) -> None:
        self.timeline = Timeline(SAMPLE_RATE * (speed or 1.0))
        self.losses = Losses()
        self.wall_steps = 0
        self._ring, self._clock = ring, clock
        self._live = speed is None
        self._wall = 0.0
        self._start_utc = 0.0
        self._away, self._fresh, self._in_gap = True, True, False
        self._expected = 0
        self._watch: tuple[int, float] | None = None

    def reopened(self) -> None:
        """A new child listens; its count starts anew."""
        self._fresh = True

    def left(self) -> None:
        """The child is gone."""
        self._away = True

    def fill(self, now: float) -> None:
        """While the source is away: the time that passes is gap, so that windows fall due and are invalid."""
        if self._away and self.timeline.anchored:
            self._lose(self.timeline.index(now - _MARGIN_SECONDS) - self._ring.end)

    def place(self, block: Block) -> int:
        """Write a block, with the gap before it; the number of its samples that were kept."""
        samples = block.samples
        start = block.end_time - len(samples) / self.timeline.rate
        if not self.timeline.anchored:
            self._wall = self._clock.utc() - self._clock.monotonic()
            self._start_utc = start + self._wall
        elif self._fresh:
            gap = self.timeline.index(start) - self._ring.end
            samples = samples[max(0, 1 - gap) :]
            if len(samples) == 0:
                return 0  # sound from an old buffer, of a time that has been given up as gap
            self._lose(max(1, gap))
            self.timeline.reanchor()
        elif block.overflow or block.dropped or block.first != self._expected:
            missed = self.timeline.index(start) - self._ring.end if block.overflow else 0
            self._lose(max(1, missed, block.first - self._expected))
        self._away, self._fresh = False, False
        self._expected = block.first + len(block.samples)
        if len(samples) == 0:
            return 0
        self._ring.write(samples)
        self._in_gap = False
        if self._live:
            self._watch_lateness(block.end_time)
        self.timeline.observe(self._ring.end, block.end_time)
        return len(samples)

    def utc(self, index: int) -> float:
        """The moment of a sample, seconds since 1970.

        Raises:
            ValueError: Nothing has been heard yet.
        """
        moment = self.timeline.monotonic(index)
        return self._wall + moment if self._live else self._start_utc + index / SAMPLE_RATE

    def follow_wall(self) -> None:
        """Take over a step of the wall clock: samples keep their place, their UTC time becomes the better one."""
        before = self._clock.monotonic()
        wall = self._clock.utc() - before
        steady = self._clock.monotonic() - before < _STEADY_SECONDS
        if self.timeline.anchored and steady and abs(wall - self._wall) > _WALL_STEP_SECONDS:
            self._wall = wall
            self.wall_steps += 1

    def _lose(self, count: int) -> None:
        if count <= 0:
            return
        self.losses.gaps += not self._in_gap
        self.losses.samples += count
        self._ring.write_gap(count)
        self._in_gap = True
        self._watch = None

    def _watch_lateness(self, end_time: float) -> None:
        """Find sound that was lost without a word: from then on every block is late."""
        if not self.timeline.anchored:
            return
        end = self._ring.end
        late = end_time - self.timeline.monotonic(end)
        since, least = self._watch or (end, late)
        least = min(late, least)
        self._watch = (since, least)
        if least < _LATE_SECONDS:
            self._watch = None
        elif end - since >= _WATCH_SECONDS * SAMPLE_RATE:
            self._ring.mark_gap(since - SAMPLE_RATE, end)
            self._lose(round(least * SAMPLE_RATE))
            self.timeline.reanchor()
