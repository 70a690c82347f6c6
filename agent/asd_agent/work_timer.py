"""Time that a worker thread has spent on one piece of work, so that a thread that hangs is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asd_agent.clock import Clock

HANGS_SECONDS = 25.0
"""Work that takes longer is reported: a disk that hangs blocks the thread that writes to it, and nothing else."""


class WorkTimer:
    """Times each piece of a thread's work.

    Args:
        clock: The clocks.

    Examples:
        >>> from asd_agent.clock import SystemClock
        >>> timer = WorkTimer(SystemClock())
        >>> with timer.work():
        ...     timer.complaint
        ''
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None

    @contextmanager
    def work(self) -> Iterator[None]:
        """Time a piece of work."""
        self._since = self._clock.monotonic()
        try:
            yield
        finally:
            self._since = None

    @property
    def complaint(self) -> str:
        """The fault in words where the present work takes too long, else empty; may be read from any thread."""
        since = self._since
        late = 0.0 if since is None else self._clock.monotonic() - since
        return (
            f"its thread has been at one piece of work for {late:.0f} s: does the disk hang?"
            if (late > HANGS_SECONDS)
            else ""
        )
