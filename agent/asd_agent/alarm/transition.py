"""One transition of the alarm: the state as it changes, and the events said on the way."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from asd_agent.alarm.state import (
    AlarmState,
    Event,
    EventName,
    EvidenceSummary,
    PendingEvidence,
    ScoredWindow,
    severity_class,
)
from asd_agent.clock import ClockReading


class Transition:
    """Carries a state through one step or command.

    Args:
        state: As it was.
        now: When the transition takes place.
    """

    def __init__(self, state: AlarmState, now: ClockReading) -> None:
        self.now = now
        self.events: list[Event] = []
        self.state = state
        self.change(touched=now.monotonic, boot_id=now.boot_id)
        if state.shelving is not None:
            self.change(shelving=state.shelving.touched(now))
            if self.state.shelving is not None and self.state.shelving.over(now):
                self.unshelve()

    def change(self, **fields: Any) -> None:
        """Replace fields of the state."""
        self.state = self.state.model_copy(update=fields)

    def say(
        self,
        event: EventName,
        *,
        alarm_id: str | None = None,
        evidence_id: str | None = None,
        proof: EvidenceSummary | None = None,
    ) -> None:
        """Add an event about the state as it stands."""
        self.change(seq=self.state.seq + 1)
        said = Event(
            id=self._digest("event"),
            event=event,
            alarm_id=alarm_id or self.state.alarm_id,
            seq=self.state.seq,
            state=self.state.state,
            severity=self.state.severity,
            observation=self.state.newest,
            moment=self.now,
            evidence_id=evidence_id,
            proof=proof,
        )
        self.events.append(said)

    @property
    def silenced(self) -> bool:
        """Whether an operator wants to hear nothing of this alarm."""
        return self.state.shelving is not None or self.state.out_of_service

    def rise(self) -> None:
        """From normal to active; held back while silenced."""
        self.change(alarm_id=self._digest("alarm"), phase="active", raised_utc=self.now.utc, below=0)
        self.change(evidence_id=None, doubtful=())
        self.announce()

    def announce(self) -> None:
        """Say that the alarm is there, once, when it may be said."""
        if self.state.phase == "active" and not self.state.announced and not self.silenced:
            self.change(announced=True, told_class=severity_class(self.state.severity), since_told=0.0)
            self.change(last_raised_utc=self.now.utc)
            self.say("raised", evidence_id=self._promise())

    def clear(self) -> None:
        """Back to normal; a one-shot shelving ends with its alarm."""
        ended, announced = self.state.alarm_id, self.state.announced
        self.change(phase="normal", announced=False, alarm_id=None, raised_utc=None, evidence_id=None)
        self.change(votes=(), below=0, doubtful=(), told_class=0, since_told=0.0)
        if announced:
            self.say("cleared", alarm_id=ended)
        if self.state.shelving is not None and self.state.shelving.kind == "one_shot":
            self.unshelve()

    def unshelve(self) -> None:
        """End a shelving or an out-of-service; an alarm held back is said now."""
        self.change(shelving=None, out_of_service=False)
        self.say("unshelved")
        self.announce()

    def hear(self, observation: ScoredWindow) -> None:
        """Make a window the newest, with its sample time and severity."""
        before = self.state.heard
        passed = max(0.0, observation.end - before) if before is not None else 0.0
        counts = observation.verdict != "suspended" and self.state.announced
        self.change(newest=observation, heard=observation.end, since_told=self.state.since_told + passed * counts)

    def _promise(self) -> str | None:
        """The id under which proof of the alarm will be kept; None where none will be."""
        alarm_id = self.state.alarm_id
        if not self.state.records or alarm_id is None:
            return None
        stamp = datetime.fromtimestamp(self.now.utc, tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        evidence_id = f"{stamp}-{alarm_id}"
        self.change(awaited=(*self.state.awaited, PendingEvidence(alarm_id=alarm_id, evidence_id=evidence_id)))
        return evidence_id

    def _digest(self, kind: str) -> str:
        now = self.now
        text = f"{kind}|{self.state.monitor}|{self.state.seq}|{now.boot_id}|{now.monotonic!r}|{now.utc!r}"
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
