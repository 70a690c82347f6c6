"""Windows of the running machine among consecutive ones, where the level shows a stop (`active_when`).

A stopped machine must not become normal sound. A window beside a stop may hold its beginning or its end, and counts for
nothing either, as in the alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from asd_agent.audio.quality import SoundQuality, assess
from asd_agent.audio.window_source import SoundWindow

Stop = Literal["stopped", "beside_stop"]
_BROKEN = {"gap", "not_finite"}
"""Reasons for which the level of a window is no measure of the machine."""


def with_stops(
    windows: Iterable[SoundWindow], level_above_dbfs: float | None
) -> Iterator[tuple[SoundWindow, SoundQuality, Stop | None]]:
    """Yield each window with its quality and, where the machine does not surely run, the reason.

    With a gate, a window comes out one window late: the next one shows whether the machine stops in it.

    Args:
        windows: Consecutive windows of one channel.
        level_above_dbfs: The machine runs while its sound is louder than this; None without a gate.
    """
    held: tuple[SoundWindow, SoundQuality, bool] | None = None
    was_stopped = False
    for window in windows:
        quality = assess(window.signal, has_gap=window.has_gap)
        stopped = (
            level_above_dbfs is not None
            and not _BROKEN & set(quality.reasons)
            and quality.level_dbfs <= level_above_dbfs
        )
        if level_above_dbfs is None:
            yield window, quality, None
            continue
        if held is not None:
            yield _judged(held, was_stopped, stopped)
            was_stopped = held[2]
        held = window, quality, stopped
    if held is not None:
        yield _judged(held, was_stopped, stops_next=False)


def _judged(
    held: tuple[SoundWindow, SoundQuality, bool], was_stopped: bool, stops_next: bool
) -> tuple[SoundWindow, SoundQuality, Stop | None]:
    window, quality, stopped = held
    if stopped:
        return window, quality, "stopped"
    return window, quality, "beside_stop" if was_stopped or stops_next else None
