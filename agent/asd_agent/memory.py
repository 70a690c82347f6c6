"""Memory that is no longer needed goes back to the system.

Sound of a minute comes and goes in pieces of many sizes, and the allocator keeps what lies between those still in use:
without this the service grows by some tens of megabytes over its first day. The other way, thresholds above which each
piece is a mapping of its own, makes a window cost three quarters more.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return free memory to the system, where the C library can (glibc); elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
