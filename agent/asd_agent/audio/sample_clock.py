"""Times of samples, and gap filling: the sample index keeps to the monotonic clock through every loss of sound.

Blocks arrive late by a varying time but never early, so the earliest arrivals show the true relation between the
sound card's clock and the machine's. A straight line through those of the last half hour is that relation. A block is
written after the samples before it, or after a gap as long as the time that was missed: restarts, overflows, and sound
that a device loses without reporting it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.protocol import Block
from asd_agent.audio.ring import Ring
from asd_agent.clock import Clock

_SPAN_SECONDS = 10.0
"""One point of the line is the earliest arrival of this long."""
_POINTS = 180
"""Points kept: half an hour, over which the temperature of a sound card's crystal changes little."""
_POINTS_FOR_DRIFT = 6
"""Fewer points give the offset only: their slope would be noise."""
_LARGEST_DRIFT = 2e-3
"""No sound card is off by more; a steeper line is noise."""
_MARGIN_SECONDS = 1.0
"""While a source is away the ring is filled with gap up to this long ago, so that late sound still finds its place."""
_WALL_STEP_SECONDS = 0.05
"""Smaller differences are a clock that is slewed, not stepped."""
_STEADY_SECONDS = 0.005
"""Two clocks read further apart than this are read again next time."""


class SampleClock:
    """Sample index ↔ monotonic time of one source.

    Args:
        rate: Samples per second of monotonic time: the sample rate, times the speed for a recording.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._origin: tuple[int, float] | None = None
        self._new_origin = True
        self._points: deque[tuple[float, float]] = deque(maxlen=_POINTS)
        self._span = (0.0, 0.0, 0.0)
        self._offset, self._drift = 0.0, 0.0

    @property
    def anchored(self) -> bool:
        """True once a block has arrived."""
        return self._origin is not None

    @property
    def drift_ppm(self) -> float:
        """Excess of a sample's duration over the nominal one, in parts per million; 0 within the first minute."""
        return self._drift * 1e6

    def reanchor(self) -> None:
        """Let the next block start a new count, since the device was opened anew. The known drift is kept."""
        self._new_origin = True

    def add(self, end: int, monotonic: float) -> None:
        """Take the arrival of a block into account.

        Args:
            end: Index after its last sample.
            monotonic: Seconds at which that sample was in the air, or a bit later.
        """
        if self._origin is None or self._new_origin:
            self._origin, self._new_origin = (end, monotonic), False
            self._points.clear()
            self._span, self._offset = (0.0, 0.0, 0.0), 0.0
            return
        elapsed = (end - self._origin[0]) / self.rate
        late = monotonic - self._origin[1] - elapsed
        began, at, earliest = self._span
        if elapsed - began >= _SPAN_SECONDS:
            self._points.append((at, earliest))
            self._span = (elapsed, elapsed, late)
        elif late < earliest:
            self._span = (began, elapsed, late)
        else:
            return
        self._fit()

    def monotonic(self, index: int) -> float:
        """Return the monotonic time at which sample `index` was, or will be, in the air.

        Raises:
            ValueError: No sound has arrived yet.
        """
        if self._origin is None:
            raise ValueError("no sound has arrived yet")
        elapsed = (index - self._origin[0]) / self.rate
        return self._origin[1] + self._offset + elapsed * (1 + self._drift)

    def index(self, monotonic: float) -> int:
        """Return the sample that was, or will be, in the air at a monotonic time; negative before the first one.

        Raises:
            ValueError: No sound has arrived yet.
        """
        if self._origin is None:
            raise ValueError("no sound has arrived yet")
        elapsed = (monotonic - self._origin[1] - self._offset) / (1 + self._drift)
        return self._origin[0] + round(elapsed * self.rate)

    def _fit(self) -> None:
        at, late = np.array([*self._points, self._span[1:]]).T
        if len(self._points) >= _POINTS_FOR_DRIFT:
            # The current span's point may still come down, so it does not count for the slope.
            slope = float(np.polyfit(at[:-1] - at[0], late[:-1], 1)[0])
            self._drift = min(max(slope, -_LARGEST_DRIFT), _LARGEST_DRIFT)
            self._offset = float(np.mean(late[:-1] - self._drift * at[:-1]))
        else:
            self._offset = float(np.min((late - self._drift * at)[-2:]))


@dataclass(frozen=True)
class LatenessWatch:
    """Lateness by which sound that was lost without a report is found.

    Attributes:
        late_seconds: Lateness that every block exceeds.
        watch_seconds: Time for which every block does.
    """

    late_seconds: float
    watch_seconds: float


EVENLY = LatenessWatch(late_seconds=0.04, watch_seconds=2.0)
"""For a device, whose blocks arrive every few hundredths of a second."""
IN_CHUNKS = LatenessWatch(late_seconds=0.5, watch_seconds=10.0)
"""For a stream. Pages of Ogg hold about a second, and their lengths vary: within two seconds the newest sample was
0.1 s late although nothing was lost. Ten pages show more."""


@dataclass
class Losses:
    """Sound that was not recorded."""

    gaps: int = 0
    samples: int = 0


class GapFiller:
    """Writes blocks and gaps into a ring, and converts sample indices to times.

    Args:
        ring: The ring.
        clock: The box's clocks.
        speed: Seconds of recording per second; None for a live source.
        watch: Lateness that means a loss.
    """

    def __init__(self, ring: Ring, clock: Clock, *, speed: float | None = None, watch: LatenessWatch = EVENLY) -> None:
        self.sample_clock = SampleClock(SAMPLE_RATE * (speed or 1.0))
        self.losses = Losses()
        self.wall_steps = 0
        self._ring, self._clock = ring, clock
        self._live = speed is None
        self._limits = watch
        self._wall = 0.0
        self._start_utc = 0.0
        self._away, self._fresh, self._in_gap = True, True, False
        self._expected = 0
        self._watch: tuple[int, float] | None = None

    def begin(self, monotonic: float) -> None:
        """Count time from here on, although no sound has arrived yet.

        A source that never delivers then has gaps like one that was lost, and its windows fall due and are invalid.

        Args:
            monotonic: Seconds at which the first attempt to open the source began.
        """
        if not self.sample_clock.anchored:
            self._anchor(monotonic)
            self.sample_clock.add(0, monotonic)

    def reopened(self) -> None:
        """Note that a new child records; its count starts anew."""
        self._fresh = True

    def left(self) -> None:
        """Note that the child is gone."""
        self._away = True

    def fill(self, now: float) -> None:
        """While the source is away, write the time that passes as gap, so that windows fall due and are invalid."""
        if self._away and self.sample_clock.anchored:
            self._lose(self.sample_clock.index(now - _MARGIN_SECONDS) - self._ring.end)

    def place(self, block: Block) -> int:
        """Write a block, with the gap before it, and return the number of its samples that were kept."""
        samples = block.samples
        start = block.end_time - len(samples) / self.sample_clock.rate
        if not self.sample_clock.anchored:
            self._anchor(start)
        elif self._fresh:
            gap = self.sample_clock.index(start) - self._ring.end
            samples = samples[max(0, 1 - gap) :]
            if len(samples) == 0:
                return 0  # sound from an old buffer, of a time that is filled with gap already
            self._lose(max(1, gap))
            self.sample_clock.reanchor()
        elif block.overflow or block.dropped or block.first != self._expected:
            missed = self.sample_clock.index(start) - self._ring.end if block.overflow else 0
            self._lose(max(1, missed, block.first - self._expected))
        self._away, self._fresh = False, False
        self._expected = block.first + len(block.samples)
        if len(samples) == 0:
            return 0
        self._ring.write(samples)
        self._in_gap = False
        if self._live:
            self._watch_lateness(block.end_time)
        self.sample_clock.add(self._ring.end, block.end_time)
        return len(samples)

    def utc(self, index: int) -> float:
        """Return the time of a sample in seconds since 1970.

        Raises:
            ValueError: No sound has arrived yet.
        """
        monotonic = self.sample_clock.monotonic(index)
        return self._wall + monotonic if self._live else self._start_utc + index / SAMPLE_RATE

    def follow_wall(self) -> None:
        """Take over a step of the wall clock: samples keep their place, their UTC time becomes the better one."""
        before = self._clock.monotonic()
        wall = self._clock.utc() - before
        steady = self._clock.monotonic() - before < _STEADY_SECONDS
        if self.sample_clock.anchored and steady and abs(wall - self._wall) > _WALL_STEP_SECONDS:
            self._wall = wall
            self.wall_steps += 1

    def _anchor(self, start: float) -> None:
        self._wall = self._clock.utc() - self._clock.monotonic()
        self._start_utc = start + self._wall

    def _lose(self, count: int) -> None:
        if count <= 0:
            return
        self.losses.gaps += not self._in_gap
        self.losses.samples += count
        self._ring.write_gap(count)
        self._in_gap = True
        self._watch = None

    def _watch_lateness(self, end_time: float) -> None:
        """Find sound that was lost without a report: from then on every block is late."""
        if not self.sample_clock.anchored:
            return
        end = self._ring.end
        late = end_time - self.sample_clock.monotonic(end)
        since, least = self._watch or (end, late)
        least = min(late, least)
        self._watch = (since, least)
        if least < self._limits.late_seconds:
            self._watch = None
        elif end - since >= self._limits.watch_seconds * SAMPLE_RATE:
            self._ring.mark_gap(since - SAMPLE_RATE, end)
            self._lose(round(least * SAMPLE_RATE))
            self.sample_clock.reanchor()
