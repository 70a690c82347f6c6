"""Replay: which alarms other levels or another rule would have given, from stored windows.

An alarm is a pure function of judged windows, so a replay with the same settings gives exactly the alarms that the
service gave. Stretches in which nothing can happen are skipped: a replay of two weeks takes a second and not a minute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asd_agent.alarm import AlarmState, ScoredWindow, restore, step
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings
from asd_agent.history.windows import VERDICTS, WindowBlock


@dataclass(frozen=True)
class ReplayedAlarm:
    """One alarm of a replay.

    Attributes:
        raised_utc: End of the window that raised it, seconds since 1970.
        cleared_utc: End of the window that cleared it; None where it lasts to the end of the windows.
        peak_score: Highest score from its raising on.
        severity: Highest severity, 1 to 1000.
    """

    raised_utc: float
    cleared_utc: float | None
    peak_score: float
    severity: int


@dataclass(frozen=True)
class Comparison:
    """Changes that other settings would have made.

    Attributes:
        alarms: Alarms of the replay.
        kept: Ids of judged or unjudged alarms that the replay has too.
        lost: Ids of alarms judged `true` that the replay lacks.
        spared: Ids of alarms judged `false` that the replay lacks.
        absent: Ids of other alarms that the replay lacks.
        added: Alarms of the replay that the service did not give.
    """

    alarms: Sequence[ReplayedAlarm]
    kept: Sequence[str] = ()
    lost: Sequence[str] = ()
    spared: Sequence[str] = ()
    absent: Sequence[str] = ()
    added: Sequence[ReplayedAlarm] = field(default=())


def replay(
    block: WindowBlock, settings: AlarmSettings, *, level: float | None = None, skip: bool = True
) -> list[ReplayedAlarm]:
    """Run the alarm machine over stored windows of one monitor.

    Operator actions are not replayed: an alarm that was shelved is an alarm here.

    Args:
        block: The windows, in the order of their arrival.
        settings: Rule of the alarm.
        level: Raise level in place of the stored one; the clear level moves with it.
        skip: Whether stretches in which nothing can happen are skipped; the alarms are the same either way.

    Returns:
        The alarms, in the order of time.
    """
    levels = block.thresholds if level is None else np.full(len(block), level)
    over = np.flatnonzero((block.rows["verdict"] == 0) & (block.rows["score"] > levels))
    before = settings.raise_after.n + _overlap(block)
    stops = _Stops(block)
    state, found, standing = AlarmState(monitor="replay"), [], None
    place, previous = 0, None
    while place < len(block):
        if skip and state.phase == "normal" and not any(state.votes):
            following = np.searchsorted(over, place)
            if following == len(over):
                break
            if (target := int(over[following]) - before) > place:
                place, previous = target, int(block.rows["index"][target - 1])
                forgotten = {"votes": (), "revocable_votes": (), "newest": None, "last_sample_time": None}
                state = state.model_copy(update={**forgotten, "runs_from": stops.runs_from(place)})
        window = _at_level(block.window(place), level)
        now = ClockReading(window.utc_end, window.utc_end, "replay", None)
        if previous is not None and window.index <= previous:  # the source or the service started again
            state, _ = restore(state.to_json(), "replay", "", now)
        previous = window.index
        state, events = step(state, window, settings, now)
        for event in events:
            if event.event == "raised":
                standing = ReplayedAlarm(window.utc_end, None, -math.inf, 1)
            elif event.event == "cleared" and standing is not None:
                found.append(_with(standing, window, state.severity, window.utc_end))
                standing = None
        if standing is not None:
            standing = _with(standing, window, state.severity, None)
        place += 1
    return [*found, standing] if standing is not None else found


class _Stops:
    """Stops of the machine in the windows; invalid windows may follow one up to the window that is skipped to.

    Args:
        block: The windows.
    """

    def __init__(self, block: WindowBlock) -> None:
        self._ends = block.rows["end"]
        self._suspended = np.flatnonzero(block.rows["verdict"] == VERDICTS.index("suspended"))
        self._scored = np.flatnonzero(block.rows["verdict"] == VERDICTS.index("scored"))
        self._restarts = np.flatnonzero(np.diff(block.rows["index"]) <= 0) + 1

    def runs_from(self, place: int) -> float | None:
        """Return `AlarmState.runs_from` as it is before a window."""
        stops = np.searchsorted(self._suspended, place)
        if stops == 0:
            return None
        first = np.searchsorted(self._scored, self._suspended[stops - 1])
        if first == len(self._scored) or self._scored[first] >= place:
            return math.inf
        start = self._scored[first]
        restarted = np.searchsorted(self._restarts, [start, place], "right")
        return float(self._ends[start]) if restarted[0] == restarted[1] else None


def compare(
    replayed: Sequence[ReplayedAlarm], given: Sequence[Mapping[str, object]], tolerance_seconds: float = 60.0
) -> Comparison:
    """Hold a replay against the alarms that the service gave.

    An alarm is the same where the two overlap in time.

    Args:
        replayed: Alarms of the replay.
        given: Alarms of the history, with `alarm_id`, `raised_utc`, `cleared_utc` and `verdict`; tests are left out.
        tolerance_seconds: Time in seconds by which they may differ.
    """
    kept: list[str] = []
    gone: dict[str, list[str]] = {"lost": [], "spared": [], "absent": []}
    met: set[int] = set()
    for alarm in given:
        if alarm.get("test"):
            continue
        start = float(str(alarm["raised_utc"])) - tolerance_seconds
        end = np.inf if alarm.get("cleared_utc") is None else float(str(alarm["cleared_utc"])) + tolerance_seconds
        same = [
            i
            for i, r in enumerate(replayed)
            if r.raised_utc <= end and (r.cleared_utc is None or r.cleared_utc >= start)
        ]
        met.update(same)
        name = {"true": "lost", "false": "spared"}.get(str(alarm.get("verdict")), "absent")
        (kept if same else gone[name]).append(str(alarm["alarm_id"]))
    added = [r for i, r in enumerate(replayed) if i not in met]
    return Comparison(replayed, kept, gone["lost"], gone["spared"], gone["absent"], added)


def _at_level(window: ScoredWindow, level: float | None) -> ScoredWindow:
    """Return the window with another raise level, and the clear level as far below it as before."""
    if level is None or window.threshold is None:
        return window
    clear = None if window.clear_level is None else level - (window.threshold - window.clear_level)
    return window.model_copy(update={"threshold": level, "clear_level": clear})


def _with(alarm: ReplayedAlarm, window: ScoredWindow, severity: int, cleared: float | None) -> ReplayedAlarm:
    peak = alarm.peak_score if window.score is None else max(alarm.peak_score, window.score)
    return ReplayedAlarm(alarm.raised_utc, cleared, peak, max(alarm.severity, severity))


def _overlap(block: WindowBlock) -> int:
    """Return how many windows may share sound with a window, and a few more: votes of those may be withdrawn."""
    steps = np.diff(block.rows["start"])
    steps = steps[steps > 0]
    if not len(steps):
        return 2
    return math.ceil(float((block.rows["end"] - block.rows["start"]).max()) / float(steps.min())) + 2
