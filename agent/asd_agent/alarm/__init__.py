"""When a score becomes an alarm, and when it ends: from one state and window to the next state and events."""

from asd_agent.alarm.evidence_events import given_up, kept
from asd_agent.alarm.machine import rebound, restored, step, tick
from asd_agent.alarm.operator import VERBS, CommandResult, command
from asd_agent.alarm.state import (
    EVENTS,
    AlarmState,
    Awaited,
    Event,
    EventName,
    Moment,
    Observation,
    Proof,
    Shelving,
    severity_class,
    severity_of,
)
from asd_agent.alarm.timing import earliest_alarm_seconds

__all__ = [
    "EVENTS",
    "VERBS",
    "AlarmState",
    "Awaited",
    "CommandResult",
    "Event",
    "EventName",
    "Moment",
    "Observation",
    "Proof",
    "Shelving",
    "command",
    "earliest_alarm_seconds",
    "given_up",
    "kept",
    "rebound",
    "restored",
    "severity_class",
    "severity_of",
    "step",
    "tick",
]
