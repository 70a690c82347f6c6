"""The box's clocks; every part takes them as an argument, so that a test can set the time."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised to a reliable server."""
_STA_UNSYNC = 0x0040
SYNC_SECONDS = 10.0
"""Age at which the state of the clock is read again; a time server takes minutes to change it."""


class Clock(Protocol):
    """Monotonic time, wall clock and boot."""

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds, which only grows."""

    def utc(self) -> float:
        """Return seconds since 1970 UTC, by a wall clock that may step."""

    @property
    def boot_id(self) -> str:
        """Id of this boot of the machine."""

    def synchronised(self) -> bool | None:
        """Return whether the wall clock follows a time server; None when unknown."""


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
        root: Folder above /proc and /run.
        adjtimex: Returns the kernel's clock state and status word (adjtimex(2)); None when it cannot be read.
    """

    root: Path = Path("/")
    adjtimex: Callable[[], tuple[int, int] | None] | None = None
    _known: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def utc(self) -> float:
        """Return CLOCK_REALTIME in seconds."""
        return time.time()

    @property
    def boot_id(self) -> str:
        """Content of /proc/sys/kernel/random/boot_id, or `unknown`; it never changes while a process lives."""
        if "boot_id" not in self._known:
            try:
                found = (self.root / "proc/sys/kernel/random/boot_id").read_text().strip()
            except OSError:
                found = "unknown"
            self._known["boot_id"] = found
        return str(self._known["boot_id"])

    def synchronised(self) -> bool | None:
        """Return the kernel's clock state (adjtimex); where it cannot be read, the mark of systemd-timesyncd.

        It is asked once in `SYNC_SECONDS`: every state of every monitor carries it, five times a second.
        """
        asked, now = self._known.get("asked"), self.monotonic()
        if asked is None or now - float(asked) >= SYNC_SECONDS:
            self._known["asked"], self._known["synchronised"] = now, self._ask()
        return self._known["synchronised"]  # type: ignore[no-any-return]

    def _ask(self) -> bool | None:
        state = (self.adjtimex or _adjtimex)()
        if state is not None:
            result, status = state
            return result != _TIME_ERROR and not status & _STA_UNSYNC
        timesync = self.root / "run/systemd/timesync"
        if not timesync.is_dir():
            return None
        return (timesync / "synchronized").exists()


def iso_utc(seconds: float) -> str:
    """Return UTC ISO 8601 with milliseconds, as on the wire: `2025-01-31T12:00:00.000Z`."""
    utc = datetime.fromtimestamp(round(seconds, 3), tz=timezone.utc)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(iso: str) -> float:
    """Return seconds since 1970 of a time in ISO 8601; `Z` stands for UTC.

    Raises:
        ValueError: It is no such time, or has no time zone.
    """
    time_ = datetime.fromisoformat(iso.removesuffix("Z") + ("+00:00" if iso.endswith("Z") else ""))
    if time_.tzinfo is None:
        raise ValueError(f"{iso[:40]!r} has no time zone")
    return time_.timestamp()


class _Timex(ctypes.Structure):
    """First fields of struct timex; `room` covers the rest, which the kernel also writes."""

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
