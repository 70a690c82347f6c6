"""Signals that stop a process: work that keeps checkpoints finishes its step first, anything else ends at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """Signal that was received, and whether a block defers its effect."""

    received: int | None = None
    deferred: bool = False


def exit_on_signals() -> None:
    """Exit with code 128 + number on SIGINT and SIGTERM, after the checkpoint of a training that runs.

    Call it in the main thread of a process.
    """
    for number in SIGNALS:
        signal.signal(number, _receive)


def _receive(number: int, _frame: FrameType | None) -> None:
    _State.received = number
    if not _State.deferred:
        raise SystemExit(128 + number)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer the effect of a signal; the block asks `exit_code` and ends itself."""
    _State.deferred, _State.received = True, None
    try:
        yield
    finally:
        _State.deferred = False


def exit_code() -> int | None:
    """Return the exit code that a received signal asks for; None without a signal."""
    return None if _State.received is None else 128 + _State.received
