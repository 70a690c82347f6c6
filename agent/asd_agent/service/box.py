"""Readings of the box: free disk, temperature, memory. The file system's root is injected so that tests can fake it."""

from __future__ import annotations

import os
from pathlib import Path


def disk_free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write where `path` lies; 0 when it cannot be told."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def temperature_celsius(root: Path = Path("/")) -> float | None:
    """The hottest thermal zone; None on a box that has none."""
    readings = []
    for zone in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        try:
            readings.append(int(zone.read_text()) / 1000.0)
        except (OSError, ValueError):
            continue
    return max(readings, default=None)


def resident_bytes(root: Path = Path("/")) -> int:
    """Memory of this process that is in use; 0 when it cannot be told."""
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
