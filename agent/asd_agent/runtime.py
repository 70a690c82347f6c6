"""The process and its box: threads of matrix products, free memory, disk space, temperature.

The file system's root is a parameter so that tests can fake `/proc` and `/sys`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def limit_blas_threads() -> None:
    """Keep numpy's matrix products to one thread; call it before anything imports numpy.

    OpenBLAS takes one thread a core, and its threads wait for each other in busy loops. Beside other work a window
    then costs many times as much, and an idle box gains nothing. A variable that the user has set is left alone.
    """
    for name in BLAS_VARIABLES:
        os.environ.setdefault(name, "1")


def release_free_memory() -> None:
    """Return freed memory to the system, where the C library can (glibc); elsewhere do nothing.

    Buffers of a minute of sound are allocated and freed in many sizes, and the allocator keeps the pages between
    those still in use: without this call the service grows by some tens of megabytes over its first day. Raising the
    share of `mmap` allocations instead makes a window cost three quarters more.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def disk_free_bytes(path: Path) -> int:
    """Return the bytes that an ordinary user may still write on the disk of `path`; 0 when unknown."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def temperature_celsius(root: Path = Path("/")) -> float | None:
    """Return the temperature of the hottest thermal zone; None on a box that has none."""
    readings = []
    for zone in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        try:
            readings.append(int(zone.read_text()) / 1000.0)
        except (OSError, ValueError):
            continue
    return max(readings, default=None)


def resident_bytes(root: Path = Path("/")) -> int:
    """Return the resident memory of this process in bytes; 0 when unknown."""
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
