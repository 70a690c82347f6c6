"""Comparison of labels with alarms: detected faults, their delays, and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class LabelledFault(BaseModel):
    """Labelled stretch of the demo's recording; times in seconds from its start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    end: float
    fault: str
    severity: float


class LabelledRecording(BaseModel):
    """Labels of the demo's recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    section: str
    seconds: float
    made_by: str
    faults: tuple[LabelledFault, ...]

    def until(self, seconds: float) -> tuple[LabelledFault, ...]:
        """Return the faults of the first `seconds`, without those that are cut short."""
        return tuple(f for f in self.faults if f.end <= seconds)


@dataclass(frozen=True)
class RaisedAlarm:
    """Alarm with the window that raised it, in seconds of the recording."""

    id: str
    window_start: float
    window_end: float


@dataclass(frozen=True)
class DetectionResult:
    """Result of the comparison.

    Attributes:
        faults: Labelled faults that were played to their end.
        detected: How many of them raised an alarm while a window overlapped them.
        latency_seconds: From the start of each detected fault to the end of the window that raised its alarm.
        false_alarms: Alarms whose window overlapped no fault.
    """

    faults: int
    detected: int
    latency_seconds: tuple[float, ...]
    false_alarms: int


def judge(faults: Sequence[LabelledFault], alarms: Sequence[RaisedAlarm]) -> DetectionResult:
    """Compare alarms with labels; an alarm belongs to the fault that its raising window overlaps."""
    latencies: list[float] = []
    for fault in faults:
        ends = [a.window_end for a in alarms if _overlaps(a, fault)]
        if ends:
            latencies.append(round(min(ends) - fault.start, 3))
    false_alarms = sum(not any(_overlaps(a, f) for f in faults) for a in alarms)
    return DetectionResult(len(faults), len(latencies), tuple(latencies), false_alarms)


def _overlaps(alarm: RaisedAlarm, fault: LabelledFault) -> bool:
    return alarm.window_start < fault.end and alarm.window_end > fault.start
