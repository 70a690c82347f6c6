"""A monitor fed by hand: windows of chosen scores, a clock that is turned, and every event that came of it."""

from __future__ import annotations

from typing import Any

from asd_agent.alarm import (
    AlarmState,
    CommandResult,
    Event,
    EvidenceSummary,
    ScoredWindow,
    apply_action,
    record_evidence,
    restore,
    step,
    tick,
)
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings

THRESHOLD, CLEAR = 2.0, 1.0
EVIDENCE = EvidenceSummary("fan/x/clip.flac", "ab", 7)


class Stream:
    """One monitor with windows of 10 s every 5 s, if not asked otherwise, threshold 2, clear level 1."""

    def __init__(self, hop: float = 5.0, window: float = 10.0, *, evidence: bool = False, **settings: Any) -> None:
        self.settings = AlarmSettings.model_validate({"report_suspensions": True, **settings})
        self.hop, self.window, self.evidence = hop, window, evidence
        self.index, self.sample_time = 0, 0.0
        self.utc, self.monotonic, self.boot_id = 1.8e9, 1000.0, "boot-1"
        self.state: AlarmState = restore(None, "agent/fan", "bundle-1", self.now, evidence=evidence)[0]
        self.events: list[Event] = []

    @property
    def now(self) -> ClockReading:
        return ClockReading(self.utc, self.monotonic, self.boot_id, synchronised=True)

    @property
    def names(self) -> list[str]:
        """Names of all events so far."""
        return [e.event for e in self.events]

    def hear(self, *scores: float | str) -> list[str]:
        """Feed windows: a score, `invalid` or `suspended`; returns the names of the events they caused."""
        before = len(self.events)
        for score in scores:
            self.wait(self.hop)
            self.index += 1
            self.sample_time += self.hop
            verdict = score if isinstance(score, str) else "scored"
            window = ScoredWindow(
                index=self.index,
                start=self.sample_time - self.window,
                end=self.sample_time,
                verdict=verdict,  # type: ignore[arg-type]
                score=None if isinstance(score, str) else score,
                threshold=THRESHOLD,
                clear_level=CLEAR,
            )
            self._take(step(self.state, window, self.settings, self.now))
        return self.names[before:]

    def skip(self) -> None:
        """Windows are skipped: the next shares no sound with the last."""
        self.sample_time += max(0.0, self.window - self.hop)

    def ask(self, verb: str, **args: Any) -> CommandResult:
        """An operator's command."""
        state, events, result = apply_action(self.state, verb, args, self.settings, self.now)
        self._take((state, events))
        return result

    def keep(self, evidence_id: str) -> None:
        """Report that the evidence of an alarm is stored."""
        self._take(record_evidence(self.state, evidence_id, EVIDENCE, self.now))

    def wait(self, seconds: float) -> None:
        """Both clocks go on."""
        self.utc += seconds
        self.monotonic += seconds

    def tick(self) -> list[str]:
        """Time passes without a window; returns the names of the events."""
        before = len(self.events)
        self._take(tick(self.state, self.now))
        return self.names[before:]

    def restart(self, *, reboot: bool = False, away: float = 1.0, bundle: str = "bundle-1") -> None:
        """The agent ends and starts again from what it had stored; sample time and window numbers begin anew."""
        text = self.state.to_json()
        self.utc += away
        self.monotonic = 10.0 if reboot else self.monotonic + away
        if reboot:
            self.boot_id += "'"
        self.index, self.sample_time = 0, 0.0
        self.state, complaint = restore(text, "agent/fan", bundle, self.now, evidence=self.evidence)
        assert complaint is None

    def _take(self, result: tuple[AlarmState, tuple[Event, ...]]) -> None:
        self.state, events = result
        self.events += events
