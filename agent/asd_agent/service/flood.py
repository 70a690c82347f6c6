"""Floods: many monitors that raise within a minute, as when a train passes or a fire alarm is tested.

Every alarm still exists. One notice names them together, so that a person sees one cause and not ten faults.
"""

from __future__ import annotations

from asd_agent.notices import AgentNotice

WITHIN_SECONDS = 60.0
LEAST_MONITORS = 3
"""Two machines may fail together by chance of one day in a year; three within a minute have a common cause."""


class FloodGuard:
    """Collects monitors that raise close together."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._names: list[str] = []

    def record(self, monitor: str, now: float) -> None:
        """Record that a monitor has raised, at a monotonic time in seconds."""
        if self._first is None:
            self._first = now
        if monitor not in self._names:
            self._names.append(monitor)

    def cycle(self, now: float) -> AgentNotice | None:
        """Return the notice of a flood once its minute is over; None otherwise."""
        if self._first is None or now - self._first < WITHIN_SECONDS:
            return None
        names, self._names, self._first = self._names, [], None
        if len(names) < LEAST_MONITORS:
            return None
        text = f"{len(names)} monitors raised within a minute, which points to one common cause: {', '.join(names)}"
        return AgentNotice("flood", "", text, len(names))
