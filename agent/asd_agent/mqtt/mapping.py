"""Mapping from alarm states, events and windows to the payloads on the wire."""

from __future__ import annotations

from dataclasses import asdict

from asd_agent.alarm.state import AlarmState, Event
from asd_agent.alarm.window import ScoredWindow, severity_of
from asd_agent.clock import ClockReading, iso_utc
from asd_agent.monitor import Identity
from asd_agent.mqtt.payloads import (
    AgentEvent,
    Alert,
    ClipFile,
    ClockWord,
    Explained,
    MonitorState,
    ReturnedAlarm,
    Score,
    WindowQuality,
)
from asd_agent.mqtt.sentence import sentence_of
from asd_agent.outbox.schema import Message

VITAL = ("raised", "escalated", "cleared")
"""Alerts that a full outbox drops last: without them a reader has the state of the alarm wrong."""


def clock_word(synchronised: bool | None) -> ClockWord:
    """Return the value of the field `clock`."""
    if synchronised is None:
        return "unknown"
    return "synchronised" if synchronised else "unsynchronised"


def alert_of(event: Event, identity: Identity, *, never_normal: bool = False) -> Alert:
    """Return the alert for an event; `late` and `durable` are set again when it is sent.

    Args:
        event: The event.
        identity: Identity of its monitor.
        never_normal: Whether the monitor has judged no window as normal so far; the text states it.
    """
    window = event.window
    agent, _, monitor = event.monitor.partition("/")
    return Alert(
        id=event.id,
        alarm_id=event.alarm_id,
        seq=event.seq,
        event=event.event,
        state=event.state,
        machine=identity.machine,
        section=identity.section,
        domain=_domain(window, identity),
        window_start=iso_utc(window.utc_start) if window else None,
        window_end=iso_utc(window.utc_end) if window else None,
        score=window.score if window else None,
        threshold=window.threshold if window else None,
        severity=event.severity,
        experts=window.experts if window else {},
        explanation=_explained(window),
        quality=_quality(window) if window else None,
        bundle=identity.bundle,
        boot_id=event.clock.boot_id,
        clock=clock_word(event.clock.synchronised),
        late=False,
        durable=True,
        provisional=_provisional(window, identity),
        evidence_id=event.evidence_id,
        evidence=ClipFile(**asdict(event.evidence)) if event.evidence else None,
        time=iso_utc(event.clock.utc),
        agent=agent,
        monitor=monitor,
        by=event.by,
        note=event.note,
        verdict=event.verdict,
        label=event.label,
        text=sentence_of(event, monitor, never_normal=never_normal),
    )


def message_of(topic: str, payload: Alert | AgentEvent) -> Message:
    """Return the outbox message for an alert or an event of the agent."""
    return Message(payload.id, topic, payload.to_json(), payload.event in VITAL)


def monitor_state_of(state: AlarmState, identity: Identity, now: ClockReading) -> MonitorState:
    """Return the retained state of a monitor."""
    window = state.newest
    shelving = state.shelving.updated(now) if state.shelving else None
    agent, _, monitor = state.monitor.partition("/")
    return MonitorState(
        state=state.state,
        alarm=state.phase if state.announced else "normal",
        alarm_id=state.alarm_id if state.announced else None,
        raised_at=iso_utc(state.raised_utc) if state.announced and state.raised_utc is not None else None,
        stale=state.stale,
        suspended=state.suspended,
        out_of_service=state.out_of_service,
        shelved_until=iso_utc(now.utc + shelving.remaining) if shelving else None,
        seq=state.seq,
        machine=identity.machine,
        section=identity.section,
        domain=_domain(window, identity),
        window_start=iso_utc(window.utc_start) if window else None,
        window_end=iso_utc(window.utc_end) if window else None,
        score=window.score if window else None,
        threshold=window.threshold if window else None,
        clear_level=window.clear_level if window else None,
        severity=state.severity,
        experts=window.experts if window else {},
        quality=_quality(window) if window else None,
        bundle=identity.bundle,
        provisional=_provisional(window, identity),
        boot_id=now.boot_id,
        clock=clock_word(now.synchronised),
        last_raised_at=iso_utc(state.last_raised_utc) if state.last_raised_utc is not None else None,
        evidence_id=state.evidence_id if state.announced else None,
        time=iso_utc(now.utc),
        agent=agent,
        monitor=monitor,
        returned=tuple(
            ReturnedAlarm(
                alarm_id=p.alarm_id,
                raised_at=iso_utc(p.raised_utc),
                cleared_at=iso_utc(p.cleared_utc),
                severity=p.severity,
            )
            for p in state.returned
        ),
    )


def score_of(window: ScoredWindow, identity: Identity) -> Score:
    """Return the score payload of a window."""
    return Score(
        window_start=iso_utc(window.utc_start),
        window_end=iso_utc(window.utc_end),
        score=window.score,
        threshold=window.threshold,
        clear_level=window.clear_level,
        severity=severity_of(window),
        domain=_domain(window, identity),
        experts=window.experts,
        quality=_quality(window),
    )


def _domain(window: ScoredWindow | None, identity: Identity) -> str:
    return window.domain if window and window.domain else identity.domain


def _provisional(window: ScoredWindow | None, identity: Identity) -> bool:
    return identity.provisional if window is None or window.provisional is None else window.provisional


def _quality(window: ScoredWindow) -> WindowQuality:
    return WindowQuality(verdict=window.verdict, suspect=window.suspect, reasons=window.reasons)


def _explained(window: ScoredWindow | None) -> Explained | None:
    if window is None or window.explanation is None:
        return None
    found = window.explanation
    return Explained(text=found.text, bands_hz=found.bands_hz, times_s=found.times_s, period_s=found.period_s)
