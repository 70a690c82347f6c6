"""Which moment a sample belongs to: a count of samples, anchored to the monotonic clock, with their drift tracked.

Blocks arrive late by a varying time but never early, so the earliest arrivals show the true relation between the
sound card's clock and the machine's; a straight line through those of the last half hour is that relation.
"""

from __future__ import annotations

from collections import deque

import numpy as np

_SPAN_SECONDS = 10.0
"""One point of the line is the earliest arrival of this long."""
_POINTS = 180
"""Points kept: half an hour."""
_POINTS_FOR_DRIFT = 6
"""Fewer points tell the offset only."""
_LARGEST_DRIFT = 2e-3
"""No sound card is off by more; a steeper line is noise."""


class Timeline:
    """Sample index ↔ monotonic time of one source.

    Args:
        rate: Samples a second of monotonic time: the sample rate, times the speed for a recording.
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
        """Whether any block has arrived."""
        return self._origin is not None

    @property
    def drift_ppm(self) -> float:
        """How much longer than nominal a sample lasts, in parts per million; 0 until a minute has been heard."""
        return self._drift * 1e6

    def reanchor(self) -> None:
        """The next block starts a new count: the device was opened anew. What is known of the drift is kept."""
        self._new_origin = True

    def observe(self, end: int, monotonic: float) -> None:
        """Note a block.

        Args:
            end: Index after its last sample.
            monotonic: When that sample was in the air, or a bit later; seconds.
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
        """The monotonic time at which sample `index` was, or will be, in the air.

        Raises:
            ValueError: Nothing has been heard yet.
        """
        if self._origin is None:
            raise ValueError("nothing has been heard yet")
        elapsed = (index - self._origin[0]) / self.rate
        return self._origin[1] + self._offset + elapsed * (1 + self._drift)

    def index(self, monotonic: float) -> int:
        """The sample that was, or will be, in the air at a monotonic time; negative before the first one.

        Raises:
            ValueError: Nothing has been heard yet.
        """
        if self._origin is None:
            raise ValueError("nothing has been heard yet")
        elapsed = (monotonic - self._origin[1] - self._offset) / (1 + self._drift)
        return self._origin[0] + round(elapsed * self.rate)

    def _fit(self) -> None:
        at, late = np.array([*self._points, self._span[1:]]).T
        if len(self._points) >= _POINTS_FOR_DRIFT:
            # The current span's point may still come down, so it has no say in the slope.
            slope = float(np.polyfit(at[:-1] - at[0], late[:-1], 1)[0])
            self._drift = min(max(slope, -_LARGEST_DRIFT), _LARGEST_DRIFT)
            self._offset = float(np.mean(late[:-1] - self._drift * at[:-1]))
        else:
            self._offset = float(np.min((late - self._drift * at)[-2:]))
