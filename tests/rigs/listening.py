"""Drives a source as the supervisor does, and waits for what a test wants to see of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from asd_agent.audio.source import CaptureSource
from asd_agent.audio.source_state import SourceStatus
from rigs.waiting import PATIENCE

_TICK_SECONDS = 0.2


class Listener:
    """Ticks one source and keeps what it says.

    Args:
        source: The source; started by `with`, stopped at its end.
    """

    def __init__(self, source: CaptureSource) -> None:
        self.source = source
        self.changes: list[SourceStatus] = []
        self.arrivals: list[tuple[int, float]] = []
        """Index after the newest sample, and the monotonic time at which it was seen."""

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Listen until a condition holds.

        Raises:
            TimeoutError: It did not hold within `seconds`.
        """
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{self.source.status} {self.source.counters} after {self.changes}")
            self.source.tick(time.monotonic())
            if self.source.wait(_TICK_SECONDS):
                self.arrivals.append((self.source.ring.end, time.monotonic()))
            self.changes += self.source.take_changes()
        self.changes += self.source.take_changes()  # what made the condition true

    def state(self, *wanted: str) -> None:
        """Listen until the source is in one of these states."""
        self.until(lambda: self.source.state in wanted)

    def more(self, seconds: float) -> None:
        """Listen until this much more sound, counted in samples, has arrived."""
        end = self.source.ring.end + round(seconds * self.source.ring.rate)
        self.until(lambda: self.source.ring.end >= end)

    @property
    def states(self) -> list[str]:
        """The states that it went through, without repeats."""
        seen = [change.state for change in self.changes]
        return [state for i, state in enumerate(seen) if i == 0 or state != seen[i - 1]]

    def __enter__(self) -> Listener:  # noqa: PYI034
        """Start the source."""
        self.source.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.stop()
