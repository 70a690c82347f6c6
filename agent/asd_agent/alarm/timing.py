"""How soon the on-delay lets an alarm come."""

from __future__ import annotations

from asd_agent.config.model import AlarmSettings


def earliest_alarm_seconds(settings: AlarmSettings, hop: float, window: float) -> float:
    """Seconds from the first changed sound to the earliest alarm: the k-th window ends (k-1) hops after the first.

    Args:
        settings: Whose `raise_after` counts.
        hop: Seconds from one window's start to the next.
        window: A window's length in seconds.
    """
    return (settings.raise_after.k - 1) * hop + window
