"""The time that a test waits for an event."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds. The event ends a wait: only a test that fails waits for so long. Enough for a machine that has many times
more work than processors, and below the time-out of pytest, so that the test can still describe what it saw."""
_LOOK_SECONDS = 0.02


def wait_until(condition: Callable[[], object], what: Callable[[], object] | str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds that nothing announces.

    Args:
        condition: Called again and again.
        what: Text of the failure, or a function that returns it.
        seconds: Time after which the test fails.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what if isinstance(what, str) else what()
        time.sleep(_LOOK_SECONDS)
