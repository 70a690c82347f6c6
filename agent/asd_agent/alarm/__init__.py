"""When a score becomes an alarm, and when it ends: from one state and window to the next state and events."""

from asd_agent.alarm.orders import VERBS, CommandResult, command
from asd_agent.alarm.step import evidence, restored, step, tick
from asd_agent.alarm.timing import earliest_alarm_seconds
from asd_agent.alarm.values import (
    EVENTS,
    AlarmState,
    Event,
    EventName,
    Moment,
    Observation,
    Shelving,
    severity_class,
    severity_of,
)

__all__ = [
    "EVENTS",
    "VERBS",
    "AlarmState",
    "CommandResult",
    "Event",
    "EventName",
    "Moment",
    "Observation",
    "Shelving",
    "command",
    "earliest_alarm_seconds",
    "evidence",
    "restored",
    "severity_class",
    "severity_of",
    "step",
    "tick",
]
