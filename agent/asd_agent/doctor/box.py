"""Checks of the box itself: disk, clock, temperature, throttling, memory. Tests inject the roots of its files."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from asd_agent.clock import Clock
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.runtime import disk_free_bytes, temperature_celsius

LEAST_FREE = 50_000_000
"""Bytes; below this the outbox and the journal have no room to work in."""
LOW_FREE = 500_000_000
"""Bytes; about what evidence may take with its default limits."""
LEAST_MEMORY = 200_000_000
"""Bytes; what a bundle of usual size and its runtime take."""
HOT, TOO_HOT = 80.0, 95.0
"""°C, where the box names no limits of its own; consumer boards slow down from 80 to 85."""
NOT_BEFORE = 1_735_689_600.0
"""2025-01-01 UTC, before this program was written; a clock that shows less was never set."""
_MEGA = 1_000_000


def check_disk(state: Path, wanted_free: int) -> list[Finding]:
    """Write to the state folder and check how much of its disk is free.

    Args:
        state: `paths.state`.
        wanted_free: Bytes that evidence leaves free.
    """
    folder = state
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(prefix=".asd-doctor-", dir=folder) as file:
            file.write(b"\0" * 65_536)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return [_refused(state, error)]
    return judge_disk(state, disk_free_bytes(folder), wanted_free)


def _refused(state: Path, error: OSError) -> Finding:
    if error.errno == errno.ENOSPC:
        remedy = "Free some: `journalctl --vacuum-size=200M`, or lower evidence.max_megabytes"
        return problem(
            "disk", f"{state}: the disk is full; alerts are sent from memory, and a power cut would lose them", remedy
        )
    if error.errno == errno.EROFS:
        return problem(
            "disk", f"{state}: the disk is read-only", "Its card may be worn out: `dmesg` shows it; mount it again"
        )
    text = f"{state} cannot be written ({error.strerror})"
    return problem("paths.state", text, f"Give it to the agent's user: `chown -R asd: {state}`")


def judge_disk(state: Path, free: int, wanted_free: int) -> list[Finding]:
    """Judge the free space.

    Args:
        state: The folder.
        free: Bytes.
        wanted_free: As for `check_disk`.
    """
    text = f"{free / _MEGA:.0f} MB free at {state}"
    if free < LEAST_FREE:
        remedy = "Free some: `journalctl --vacuum-size=200M`, or lower evidence.max_megabytes"
        return [problem("disk", f"{text}: nearly full", remedy)]
    if free < max(LOW_FREE, wanted_free):
        low = f"{text}; no recordings of alarms are kept below {wanted_free / _MEGA:.0f} MB"
        return [warning("disk", low, "Free some, or lower evidence.free_megabytes")]
    return [ok("disk", text)]


def check_clock(clock: Clock) -> list[Finding]:
    """Check that the wall clock is set and follows a time server."""
    if clock.utc() < NOT_BEFORE:
        text = "the clock was never set; certificates seem invalid and alerts carry a wrong time"
        return [problem("clock", text, "Let it follow a time server: `timedatectl set-ntp true`, or set it by hand")]
    synchronised = clock.synchronised()
    if synchronised is None:
        return [warning("clock", "it is not known whether it follows a time server", "`timedatectl` shows it")]
    if not synchronised:
        remedy = "`timedatectl set-ntp true`, and let UDP port 123 through to a time server"
        return [warning("clock", "it follows no time server; alerts carry `clock: unsynchronised`", remedy)]
    return [ok("clock", "follows a time server")]


def check_heat(root: Path = Path("/")) -> list[Finding]:
    """Check the temperature, and for a processor that was slowed down."""
    return [*_temperature(root), *_throttling(root)]


def _temperature(root: Path) -> list[Finding]:
    now = temperature_celsius(root)
    if now is None:
        return [ok("temperature", "this box measures none")]
    critical = min(_trips(root, "critical"), default=TOO_HOT + 5) - 5
    hot = min([*_trips(root, "passive"), *_trips(root, "hot")], default=HOT)
    remedy = "Clear its vents, give it air or a larger heat sink, or let fewer monitors run on it"
    if now >= critical:
        return [problem("temperature", f"{now:.0f} °C, about to switch itself off", remedy)]
    if now >= hot:
        return [warning("temperature", f"{now:.0f} °C, so hot that it slows down", remedy)]
    return [ok("temperature", f"{now:.0f} °C")]


def _trips(root: Path, kind: str) -> Iterator[float]:
    for name in (root / "sys/class/thermal").glob("thermal_zone*/trip_point_*_type"):
        value = _number(name.with_name(name.name.replace("_type", "_temp")))
        if value and value > 0 and _text(name) == kind:
            yield value / 1000


def _throttling(root: Path) -> list[Finding]:
    found = []
    cpus = root / "sys/devices/system/cpu"
    times = sum(int(_number(p) or 0) for p in cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    if times:
        found.append(f"slowed down for heat {times} times since it was started")
    flags = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags.removeprefix("0x").strip("0"):
        bits = int(flags, 16)
        why = [text for bit, text in _RASPBERRY.items() if bits >> bit & 1 or bits >> (bit + 16) & 1]
        found.append(", ".join(why) or f"throttled ({flags})")
    capped = [
        p.parent.parent.name
        for p in sorted(cpus.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq"))
        if (_number(p.with_name("scaling_max_freq")) or 1e12) < 0.95 * (_number(p) or 0)
    ]
    if capped:
        found.append(f"{len(capped)} processors are held below their highest frequency")
    remedy = "Give it air and a supply of its own; on a Jetson `nvpmodel -q` shows the power mode"
    return [warning("throttling", text, remedy) for text in found]


_RASPBERRY = {0: "its supply is too weak", 1: "its frequency is held down", 2: "throttled", 3: "near its heat limit"}
"""Bits of a Raspberry Pi's get_throttled; 16 higher: since it was started."""


def check_memory(root: Path = Path("/")) -> list[Finding]:
    """Check the memory that is left."""
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
            if free < LEAST_MEMORY:
                text = f"{free / _MEGA:.0f} MB of memory left; the kernel may end the agent"
                return [warning("memory", text, "Stop what else runs here, or use a smaller recipe")]
            return [ok("memory", f"{free / _MEGA:.0f} MB left")]
    return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None
