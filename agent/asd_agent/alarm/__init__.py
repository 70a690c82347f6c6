"""When a score becomes an alarm, and when it ends: from one state and window to the next state and events."""

from asd_agent.alarm.orders import VERBS, CommandResult, command
from asd_agent.alarm.proof import given_up, kept
from asd_agent.alarm.step import rebound, restored, step, tick
from asd_agent.alarm.timing import earliest_alarm_seconds
from asd_agent.alarm.values import (
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
