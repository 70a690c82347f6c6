"""One transition of the alarm: the state as it changes, and the events that it causes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from asd_agent.alarm.state import (
    PAST_ALARMS,
    AlarmState,
    AlarmVerdict,
    Event,
    EventName,
    EvidenceSummary,
    PastAlarm,
    PendingEvidence,
)
from asd_agent.alarm.window import ScoredWindow, severity_class
from asd_agent.clock import ClockReading

NO_VOTES: dict[str, Any] = {"votes": (), "clear_count": 0, "revocable_votes": ()}
"""Fields of a state in which no window has counted yet."""


@dataclass(frozen=True)
class Action:
    """Person who acts in a transition, with note and judgement; empty where no person acts.

    Attributes:
        by: Name of the person.
        note: A note.
        verdict: Judgement of the alarm.
        label: Cause of the alarm in a word or two.
    """

    by: str | None = None
    note: str | None = None
    verdict: AlarmVerdict | None = None
    label: str | None = None


class Transition:
    """Carries a state through one window or one operator's action.

    Args:
        state: The state before.
        now: Time of the transition.
    """

    def __init__(self, state: AlarmState, now: ClockReading) -> None:
        self.now = now
        self.action = Action()
        self.events: list[Event] = []
        self.state = state
        self.change(updated_at=now.monotonic, boot_id=now.boot_id)
        if state.shelving is not None:
            self.change(shelving=state.shelving.updated(now))
            if self.state.shelving is not None and self.state.shelving.over(now):
                self.unshelve()

    @property
    def result(self) -> tuple[AlarmState, tuple[Event, ...]]:
        """The next state and its events, to be stored together."""
        return self.state, tuple(self.events)

    def change(self, **fields: Any) -> None:
        """Replace fields of the state."""
        self.state = self.state.model_copy(update=fields)

    def emit(
        self,
        event: EventName,
        *,
        alarm_id: str | None = None,
        evidence_id: str | None = None,
        evidence: EvidenceSummary | None = None,
    ) -> None:
        """Add an event about the state as it is now."""
        self.change(seq=self.state.seq + 1)
        self.events.append(
            Event(
                id=self._digest("event"),
                event=event,
                alarm_id=alarm_id or self.state.alarm_id,
                seq=self.state.seq,
                state=self.state.state,
                severity=self.state.severity,
                window=self.state.newest,
                clock=self.now,
                evidence_id=evidence_id,
                evidence=evidence,
                monitor=self.state.monitor,
                by=self.action.by,
                note=self.action.note,
                verdict=self.action.verdict,
                label=self.action.label,
            )
        )

    @property
    def suppressed(self) -> bool:
        """True while an operator has shelved the alarm or taken it out of service."""
        return self.state.shelving is not None or self.state.out_of_service

    def raise_alarm(self) -> None:
        """Change from normal to active; its `raised` waits while the alarm is suppressed."""
        self.change(alarm_id=self._digest("alarm"), phase="active", raised_utc=self.now.utc, clear_count=0)
        self.change(highest_severity=self.state.severity)
        self.change(evidence_id=None, revocable_votes=())
        self.announce()

    def announce(self) -> None:
        """Emit the `raised` of an active alarm, once, unless the alarm is suppressed."""
        if self.state.phase == "active" and not self.state.announced and not self.suppressed:
            self.change(announced=True, reported_class=severity_class(self.state.severity), since_report=0.0)
            self.change(last_raised_utc=self.now.utc)
            self.emit("raised", evidence_id=self._name_evidence())

    def clear(self) -> None:
        """Change back to normal; a one-shot shelving ends with its alarm."""
        ended, announced = self.state.alarm_id, self.state.announced
        if announced and ended is not None:
            past = PastAlarm(
                alarm_id=ended,
                raised_utc=self.now.utc if self.state.raised_utc is None else self.state.raised_utc,
                cleared_utc=self.now.utc,
                severity=self.state.highest_severity,
                acknowledged=self.state.phase == "acknowledged",
            )
            self.change(past=(*self.state.past, past)[-PAST_ALARMS:])
        self.change(phase="normal", announced=False, alarm_id=None, raised_utc=None, evidence_id=None)
        self.change(**NO_VOTES, reported_class=0, since_report=0.0)
        if announced:
            self.emit("cleared", alarm_id=ended)
        if self.state.shelving is not None and self.state.shelving.kind == "one_shot":
            self.unshelve()

    def unshelve(self) -> None:
        """End a shelving or an out-of-service; an alarm whose `raised` has waited emits it now."""
        self.change(shelving=None, out_of_service=False)
        self.emit("unshelved")
        self.announce()

    def record_window(self, window: ScoredWindow) -> None:
        """Make a window the newest, with its sample time."""
        before = self.state.last_sample_time
        passed = max(0.0, window.end - before) if before is not None else 0.0
        counts = window.verdict != "suspended" and self.state.announced
        since_report = self.state.since_report + passed * counts
        self.change(newest=window, last_sample_time=window.end, since_report=since_report)

    def _name_evidence(self) -> str | None:
        """Return the id under which evidence of the alarm will be stored; None where none will be."""
        alarm_id = self.state.alarm_id
        if not self.state.evidence_enabled or alarm_id is None:
            return None
        stamp = datetime.fromtimestamp(self.now.utc, tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        evidence_id = f"{stamp}-{alarm_id}"
        pending = PendingEvidence(alarm_id=alarm_id, evidence_id=evidence_id)
        self.change(pending_evidence=(*self.state.pending_evidence, pending))
        return evidence_id

    def _digest(self, kind: str) -> str:
        now = self.now
        text = f"{kind}|{self.state.monitor}|{self.state.seq}|{now.boot_id}|{now.monotonic!r}|{now.utc!r}"
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
