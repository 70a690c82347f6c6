"""Truth against alarms: which faults were found, how soon, and what was said without cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Fault(BaseModel):
    """A labelled stretch of the demo's recording; times in seconds from its start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    end: float
    fault: str
    severity: float


class Truth(BaseModel):
    """What the demo's recording holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    section: str
    seconds: float
    made_by: str
    faults: tuple[Fault, ...]

    def until(self, seconds: float) -> tuple[Fault, ...]:
        """The faults of the first `seconds`, those cut short left out."""
        return tuple(f for f in self.faults if f.end <= seconds)


@dataclass(frozen=True)
class Raised:
    """An alarm: the window that raised it, in seconds of the recording."""

    id: str
    window_start: float
    window_end: float


@dataclass(frozen=True)
class Verdict:
    """How the agent did.

    Attributes:
        faults: Labelled faults that were played to their end.
        detected: How many of them raised an alarm while a window touched them.
        latency_seconds: From the start of each detected fault to the end of the window that raised its alarm.
        false_alarms: Alarms whose window touched no fault.
    """

    faults: int
    detected: int
    latency_seconds: tuple[float, ...]
    false_alarms: int


def judge(faults: Sequence[Fault], alarms: Sequence[Raised]) -> Verdict:
    """Hold alarms against truth; an alarm belongs to the fault that its raising window touches."""
    latencies: list[float] = []
    for fault in faults:
        ends = [a.window_end for a in alarms if _touches(a, fault)]
        if ends:
            latencies.append(round(min(ends) - fault.start, 3))
    false_alarms = sum(not any(_touches(a, f) for f in faults) for a in alarms)
    return Verdict(len(faults), len(latencies), tuple(latencies), false_alarms)


def _touches(alarm: Raised, fault: Fault) -> bool:
    return alarm.window_start < fault.end and alarm.window_end > fault.start
