"""A clock that is turned by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HandClock:
    """A clock that stands still until it is turned."""

    now: float = 1000.0
    wall: float = 1.8e9
    boot_id: str = "boot-1"

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> float:
        return self.wall

    def synchronised(self) -> bool | None:
        return True
