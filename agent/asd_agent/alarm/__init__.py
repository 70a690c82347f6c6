"""When a score becomes an alarm, and when it ends: from one state and window to the next state and events."""

from asd_agent.alarm.evidence_events import abandon_evidence, kept
from asd_agent.alarm.machine import rebind, restore, step, tick
from asd_agent.alarm.operator import VERBS, CommandResult, command
from asd_agent.alarm.state import (
    EVENTS,
    AlarmState,
    Event,
    EventName,
    EvidenceSummary,
    PendingEvidence,
    ScoredWindow,
    Shelving,
    severity_class,
    severity_of,
)
from asd_agent.alarm.timing import earliest_alarm_seconds

__all__ = [
    "EVENTS",
    "VERBS",
    "AlarmState",
    "CommandResult",
    "Event",
    "EventName",
    "EvidenceSummary",
    "PendingEvidence",
    "ScoredWindow",
    "Shelving",
    "abandon_evidence",
    "command",
    "earliest_alarm_seconds",
    "kept",
    "rebind",
    "restore",
    "severity_class",
    "severity_of",
    "step",
    "tick",
]
