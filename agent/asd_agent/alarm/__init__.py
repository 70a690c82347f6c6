"""The alarm of one monitor, as pure functions: from one state and a window or action to the next state and events."""

from asd_agent.alarm.machine import (
    abandon_evidence,
    continue_above,
    earliest_alarm_seconds,
    rebind,
    record_evidence,
    restore,
    retire,
    step,
    tick,
)
from asd_agent.alarm.operator import VERBS, VERDICTS, CommandResult, apply_action
from asd_agent.alarm.state import (
    EVENTS,
    AlarmState,
    AlarmVerdict,
    Event,
    EventName,
    EvidenceSummary,
    PastAlarm,
    PendingEvidence,
    Shelving,
)
from asd_agent.alarm.window import ScoredWindow, severity_class, severity_of

__all__ = [
    "EVENTS",
    "VERBS",
    "VERDICTS",
    "AlarmState",
    "AlarmVerdict",
    "CommandResult",
    "Event",
    "EventName",
    "EvidenceSummary",
    "PastAlarm",
    "PendingEvidence",
    "ScoredWindow",
    "Shelving",
    "abandon_evidence",
    "apply_action",
    "continue_above",
    "earliest_alarm_seconds",
    "rebind",
    "record_evidence",
    "restore",
    "retire",
    "severity_class",
    "severity_of",
    "step",
    "tick",
]
