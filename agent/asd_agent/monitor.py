"""One monitor: takes windows from its source's ring, judges their quality and keeps the alarm's state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from asd_agent.alarm import (
    AlarmState,
    CommandResult,
    Event,
    EvidenceSummary,
    ScoredWindow,
    abandon_evidence,
    apply_action,
    continue_above,
    rebind,
    record_evidence,
    retire,
    step,
    tick,
)
from asd_agent.alarm.rate import Promise, rule_of, threshold_under
from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.quality import QualityLimits, SoundQuality
from asd_agent.audio.ring import Missing
from asd_agent.audio.source import CaptureSource
from asd_agent.clock import ClockReading
from asd_agent.config.model import LevelGate, MonitorSettings
from asd_agent.inference.scorer import BundleScorer, WindowScore

MOST_AT_ONCE = 16
"""Windows that are scored together: it bounds a cycle's time and memory. More of a recording wait for the next one."""

MachineState = Literal["running", "stopped", "unknown"]
UNKNOWN_STATE = "machine_state_unknown"
"""Reason of an invalid window: the topic of `active_when` has gone quiet, or its message cannot be read."""


@dataclass(frozen=True)
class Identity:
    """Machine, section, domain and bundle that a monitor's events name.

    Attributes:
        machine: Machine type, such as `fan`.
        section: Its two digits.
        domain: As configured; a window that names its own domain goes before.
        bundle: Digest of the bundle.
        provisional: Whether the threshold rests on too few clips.
    """

    machine: str
    section: str
    domain: str
    bundle: str
    provisional: bool = False


@dataclass(frozen=True)
class Counts:
    """Counts of a monitor's windows; due = scored + skipped + invalid + suspended, always."""

    due: int = 0
    scored: int = 0
    suspect: int = 0
    skipped: int = 0
    invalid: int = 0
    suspended: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return Counts(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


@dataclass(frozen=True)
class Window:
    """Sound of a window that is due.

    Attributes:
        first: Index of the first sample.
        signal: Samples at 16 kHz, shape (samples,).
        quality: Judgement of the sound.
        machine: Whether the machine runs, as `active_when` reports it.
    """

    first: int
    signal: Signal
    quality: SoundQuality
    machine: MachineState

    @property
    def to_score(self) -> bool:
        """True where the window is to be scored."""
        return self.quality.scored and self.machine == "running"


class Monitor:
    """Watches one machine, section and domain through one channel of one source.

    Args:
        name: Name in the configuration.
        settings: Settings of the monitor.
        source: Source of the sound.
        scorer: Scorer of its bundle.
        state: State of the alarm to continue from.

    Attributes:
        never_normal: True while no window has been below the raise level since this bundle began to judge, or since the
            service started without an alarm.
    """

    def __init__(
        self, name: str, settings: MonitorSettings, source: CaptureSource, scorer: BundleScorer, state: AlarmState
    ) -> None:
        self.name, self.state = name, state
        self.counts = Counts()
        self.alarms_raised = 0
        self.scoring_seconds: float | None = None
        self.machine_state: MachineState = "running"
        self.never_normal = not state.announced
        self._next = source.ring.end
        self._bind(settings, source, scorer)

    def change(self, settings: MonitorSettings, source: CaptureSource, scorer: BundleScorer) -> None:
        """Continue with other settings, another bundle or source; the counts and the alarm continue.

        On the same source, the next window is the one that was due before. Votes are dropped where another bundle or
        domain gave them, or where they are of other sound.
        """
        before = self.identity, self.source, self._column
        if source is not self.source:
            self._next = source.ring.end
        if settings.active_when != self.settings.active_when:
            self.machine_state = "running"
        self._bind(settings, source, scorer)
        same_sound = before[1:] == (source, self._column)
        same_judge = before[0] == self.identity
        self.never_normal |= not same_judge
        self.state = rebind(self.state, scorer.bundle.digest, same_sound=same_sound, same_judge=same_judge)

    def _bind(self, settings: MonitorSettings, source: CaptureSource, scorer: BundleScorer) -> None:
        self.settings, self.source, self.scorer = settings, source, scorer
        manifest = scorer.bundle.manifest
        domains = scorer.bundle.domains(settings.section, settings.domain)
        conditions = [scorer.bundle.condition(settings.section, d) for d in domains]
        self._conditions = conditions
        self._provisional: dict[str, bool] = {c.domain: c.provisional for c in conditions}
        self.identity = Identity(
            machine=manifest.machine,
            section=settings.section,
            domain=settings.domain,
            bundle=scorer.bundle.digest,
            provisional=all(self._provisional.values()),
        )
        self._limits = QualityLimits(
            low_dbfs=min(c.level_dbfs[0] for c in conditions), high_dbfs=max(c.level_dbfs[1] for c in conditions)
        )
        self._window = manifest.window_samples
        self._hop = max(1, round(settings.hop_seconds * SAMPLE_RATE))
        self._column = source.column(settings.channel)
        self._waits = not source.settings.is_live

    @property
    def promise(self) -> Promise:
        """Alarms a day that its threshold promises; of several domains, those of the one that promises most."""
        rule = rule_of(self.settings, self._window / SAMPLE_RATE)
        bundle = self.scorer.bundle
        promises = []
        for condition in self._conditions:
            reference = bundle.scorers[condition.reference]
            threshold = threshold_under(condition.threshold, reference, rule)
            promises.append(Promise(rule, threshold.wanted_per_day, threshold.upper_per_day))
        return max(promises, key=lambda p: p.at_most)

    @property
    def needs_from(self) -> int:
        """Index of the oldest sample that the next window needs."""
        return self._next

    @property
    def due_at(self) -> int:
        """Index after the last sample of the next window."""
        return self._next + self._window

    def take_due(self) -> list[Window]:
        """Return the windows whose sound is complete.

        Of a microphone only the newest is taken; those before it are skipped and counted, so that scores never lag. Of
        a recording all are taken, in order.
        """
        ring = self.source.ring
        due = (ring.end - self.due_at) // self._hop + 1
        if due <= 0:
            return []
        if not self._waits and due > 1:
            self._skip(due - 1)
            due = 1
        taken: list[Window] = []
        for _ in range(min(due, MOST_AT_ONCE)):
            found = self.source.shared_windows.read(self._next, self._window, self._column, self._limits)
            if found is Missing.OVERWRITTEN:
                self._skip(max(1, math.ceil((ring.begin - self._next) / self._hop)))
                continue
            if isinstance(found, Missing):
                break
            signal, quality = found
            taken.append(Window(self._next, signal, quality, self._machine(quality)))
            self._next += self._hop
        return taken

    def judge(
        self, window: Window, got: WindowScore | None, now: ClockReading
    ) -> tuple[ScoredWindow, tuple[Event, ...]]:
        """Apply a window to the alarm.

        Args:
            window: The window.
            got: Its score, None where it was not to be scored.
            now: The clocks.

        Returns:
            The judged window and the events that it caused.
        """
        verdict = "suspended" if window.machine == "stopped" else "scored" if got else "invalid"
        suspect = got is not None and window.quality.verdict == "suspect"
        self.counts = self.counts.plus(replace(Counts(due=1, suspect=int(suspect)), **{verdict: 1}))
        end = window.first + self._window
        scored = ScoredWindow(
            index=window.first // self._hop,
            start=window.first / SAMPLE_RATE,
            end=end / SAMPLE_RATE,
            utc_start=self.source.utc(window.first),
            utc_end=self.source.utc(end),
            verdict=verdict,
            suspect=suspect,
            reasons=(*window.quality.reasons, *((UNKNOWN_STATE,) if window.machine == "unknown" else ())),
            score=got.score if got else None,
            threshold=got.threshold if got else None,
            clear_level=got.clear_level if got else None,
            domain=got.domain if got else None,
            provisional=self._provisional[got.domain] if got else None,
            experts=got.experts if got else {},
            explanation=got.explanation if got else None,
        )
        if got and got.score <= got.threshold:
            self.never_normal = False
        self.state, events = step(self.state, scored, self.settings.alarm, now)
        self.alarms_raised += sum(e.event == "raised" for e in events)
        return scored, events

    def tick(self, now: ClockReading) -> tuple[Event, ...]:
        """Advance the alarm's time without a window."""
        self.state, events = tick(self.state, now)
        return events

    def apply_action(
        self, verb: str, args: Mapping[str, Any], now: ClockReading
    ) -> tuple[tuple[Event, ...], CommandResult]:
        """Apply an operator's action to the alarm; see `asd_agent.alarm.apply_action`."""
        self.state, events, result = apply_action(self.state, verb, args, self.settings.alarm, now)
        return events, result

    def continue_above(self, seq: int, standing: str | None, now: ClockReading) -> tuple[Event, ...]:
        """Continue above what readers have seen of a state that is lost here; see `asd_agent.alarm.continue_above`."""
        self.state, events = continue_above(self.state, seq, standing, now)
        return events

    def retire(self, now: ClockReading) -> tuple[Event, ...]:
        """End a standing alarm, since the monitor is removed."""
        self.state, events = retire(self.state, now)
        return events

    def record_evidence(
        self, evidence_id: str, summary: EvidenceSummary | None, now: ClockReading
    ) -> tuple[Event, ...]:
        """Record that evidence of an alarm is stored, or, with no summary, that it never will be."""
        if summary is None:
            self.state = abandon_evidence(self.state, evidence_id)
            return ()
        self.state, events = record_evidence(self.state, evidence_id, summary, now)
        return events

    def _skip(self, count: int) -> None:
        self._next += count * self._hop
        self.counts = self.counts.plus(Counts(due=count, skipped=count))

    def _machine(self, quality: SoundQuality) -> MachineState:
        gate = self.settings.active_when
        if not isinstance(gate, LevelGate):
            return self.machine_state
        # A dead microphone delivers zeros or a constant, quieter than any machine at rest: that is no stop.
        broken = {"gap", "not_finite", "silence", "dc"} & set(quality.reasons)
        return "stopped" if not broken and quality.level_dbfs <= gate.level_above_dbfs else "running"


MonitorEvents = tuple[Monitor, tuple[Event, ...]]
"""A monitor whose alarm state changed, with the events to store and publish with it."""
