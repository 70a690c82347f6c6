"""The box's clocks, injected wherever time is needed so that a test can turn the hands."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised to a reliable server."""
_STA_UNSYNC = 0x0040


class Clock(Protocol):
    """What the agent asks of time."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, CLOCK_MONOTONIC."""

    def utc(self) -> float:
        """Seconds since 1970 UTC, by a wall clock that may be stepped."""

    @property
    def boot_id(self) -> str:
        """Names this boot of the machine."""

    def synchronised(self) -> bool | None:
        """Whether the wall clock follows a time server; None when it cannot be told."""


@dataclass(frozen=True)
class ClockReading:
    """All clocks, read together.

    Attributes:
        utc: Wall clock, seconds since 1970; may step.
        monotonic: Seconds since this boot; never steps.
        boot_id: Names the boot that `monotonic` counts from.
        synchronised: Whether the wall clock follows a time server; None when unknown.
    """

    utc: float
    monotonic: float
    boot_id: str
    synchronised: bool | None = None

    @classmethod
    def read(cls, clock: Clock) -> ClockReading:
        """Read all clocks now."""
        return cls(clock.utc(), clock.monotonic(), clock.boot_id, clock.synchronised())


@dataclass(frozen=True)
class SystemClock:
    """The kernel's clocks.

    Args:
        root: Where /proc and /run are looked for.
        adjtimex: Returns the kernel's clock state and status word (adjtimex(2)); None when it cannot be asked.
    """

    root: Path = Path("/")
    adjtimex: Callable[[], tuple[int, int] | None] | None = None

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def utc(self) -> float:
        """CLOCK_REALTIME in seconds."""
        return time.time()

    @property
    def boot_id(self) -> str:
        """/proc/sys/kernel/random/boot_id, or `unknown`."""
        try:
            return (self.root / "proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return "unknown"

    def synchronised(self) -> bool | None:
        """By the kernel's own word (adjtimex); where it cannot be asked, by systemd-timesyncd's mark."""
        state = (self.adjtimex or _adjtimex)()
        if state is not None:
            result, status = state
            return result != _TIME_ERROR and not status & _STA_UNSYNC
        timesync = self.root / "run/systemd/timesync"
        if not timesync.is_dir():
            return None
        return (timesync / "synchronized").exists()


def iso_utc(seconds: float) -> str:
    """UTC ISO 8601 with milliseconds, as on the wire: `2025-01-31T12:00:00.000Z`."""
    moment = datetime.fromtimestamp(round(seconds, 3), tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Timex(ctypes.Structure):
    """The head of struct timex; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 512),
    )


def _adjtimex() -> tuple[int, int] | None:
    if os.name != "posix":
        return None
    try:
        state = _Timex()
        result = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return None
    return None if result < 0 else (result, state.status)
