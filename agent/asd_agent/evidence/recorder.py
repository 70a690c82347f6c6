"""From alarms to evidence, on the supervisor's turn: waits for the sound after an alarm, cuts it and hands it on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.alarm import Event, EvidenceSummary, PendingEvidence, ScoredWindow
from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.source import CaptureSource
from asd_agent.clock import Clock, ClockReading
from asd_agent.config.model import EvidenceSettings
from asd_agent.evidence.clip import cut
from asd_agent.evidence.job import Job
from asd_agent.evidence.record import Record
from asd_agent.evidence.store import CLIP, RECORD
from asd_agent.evidence.writer import EvidenceWriter, Standing
from asd_agent.inference.scorer import BundleScorer
from asd_agent.monitor import Identity, Monitor, MonitorEvents
from asd_agent.mqtt.mapping import alert_of
from asd_agent.notices import AgentNotice

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long the end waits for evidence to be written; the rest is given up at the next start."""
_SPARE_SECONDS = 20.0
"""Sound that the ring holds beyond a clip, for a scorer that is busy."""


def ring_seconds(settings: EvidenceSettings, window_seconds: float) -> float:
    """Seconds of sound that a source keeps: the last minute, or more where clips are longer."""
    span = settings.pre_seconds + window_seconds + settings.post_seconds if settings.enabled else 0.0
    return max(60.0, span + _SPARE_SECONDS)


@dataclass
class EvidenceChanges:
    """Changes that evidence caused, for the service to store and publish.

    Attributes:
        events: Events of each monitor whose alarm state changed; one entry a monitor, since its new state is stored
            in one transaction with all of them.
        notices: Losses, and that evidence is stored again.
    """

    events: dict[str, MonitorEvents] = field(default_factory=dict)
    notices: list[AgentNotice] = field(default_factory=list)

    def add(self, monitor: Monitor, events: tuple[Event, ...]) -> None:
        """Add events of a monitor whose state has changed."""
        earlier = self.events[monitor.name][1] if monitor.name in self.events else ()
        self.events[monitor.name] = monitor, (*earlier, *events)


@dataclass(frozen=True)
class _Pending:
    """An alarm whose sound is not all heard yet, with what it was heard through; samples are counted by its source.

    The monitor itself may be given another source or bundle meanwhile.
    """

    monitor: Monitor
    source: CaptureSource
    channel: int
    scorer: BundleScorer
    section: str
    identity: Identity
    event: Event
    window: tuple[int, int]
    first: int
    end: int


class EvidenceRecorder:
    """Follows the monitors' alarms.

    Args:
        settings: How long clips are.
        agent: Its name.
        folder: Of the evidence.
        clock: The clocks.
        wake: Set when there is something for the next cycle.
    """

    def __init__(
        self,
        settings: EvidenceSettings,
        agent: str,
        folder: Path,
        clock: Clock,
        wake: threading.Event,
    ) -> None:
        self._agent, self._folder, self._clock = agent, folder, clock
        self._pre = round(settings.pre_seconds * SAMPLE_RATE) if settings.enabled else 0
        self._post = round(settings.post_seconds * SAMPLE_RATE)
        self._keeper = EvidenceWriter(folder, settings, clock, wake)
        self._heard: dict[str, deque[tuple[int, int, str, float | None, float | None]]] = {}
        self._pending: list[_Pending] = []
        self._told_fault = False
        self._lost_before = 0

    @property
    def standing(self) -> Standing:
        """How the evidence fares."""
        return self._keeper.standing

    def alive(self) -> bool:
        """Return whether the writing thread runs, or has not been started."""
        return self._keeper.alive()

    def start(self, monitors: Iterable[Monitor]) -> EvidenceChanges:
        """Start the writer, and settle evidence that a killed agent had named in `raised`; see `resume`."""
        changes = self.resume(monitors)
        self._keeper.start()
        return changes

    def resume(self, monitors: Iterable[Monitor]) -> EvidenceChanges:
        """Settle evidence that was named in `raised` before these monitors were loaded: stored, or given up."""
        changes = EvidenceChanges()
        lost = []
        for monitor in monitors:
            for pending in monitor.state.pending_evidence:
                proof = self._found(monitor.name, pending)
                lost += [] if proof else [f"{pending.evidence_id} of {monitor.name}"]
                self._settle(monitor, pending.evidence_id, proof, changes)
        if lost:
            text = f"evidence was unfinished when the agent ended and is dropped: {', '.join(lost)}"
            log.warning("%s", text)
            changes.notices.append(AgentNotice("evidence_lost", "evidence", text, len(lost)))
        return changes

    def record_window(self, monitor: Monitor, observation: ScoredWindow) -> None:
        """Remember a judged window for the curve."""
        heard = self._heard.setdefault(monitor.name, deque())
        first, end = round(observation.start * SAMPLE_RATE), round(observation.end * SAMPLE_RATE)
        if heard and end <= heard[-1][1]:
            heard.clear()  # the source counts anew
        heard.append((first, end, observation.verdict, observation.score, observation.threshold))
        oldest = min([end - self._pre - self._post, *(p.first for p in self._pending if p.monitor is monitor)])
        while heard[0][1] < oldest - (end - first):
            heard.popleft()

    def record_event(self, monitor: Monitor, event: Event) -> None:
        """Note an event of an alarm that needs evidence, or that releases it."""
        if event.event == "raised" and event.evidence_id is not None:
            self._pending.append(self._await(monitor, event))
        elif event.event == "acknowledged" and event.alarm_id is not None:
            self._keeper.note(event.alarm_id)

    def needs_from(self, monitor: Monitor) -> int:
        """Index of the oldest sample that evidence of a monitor may need."""
        waiting = (p.first for p in self._pending if p.monitor is monitor and p.source is monitor.source)
        return min([monitor.needs_from - self._pre, *waiting])

    def cycle(self, monitors: Mapping[str, Monitor], sources: Collection[CaptureSource]) -> EvidenceChanges:
        """Cut the clips whose sound is complete, and settle evidence that the writer has finished.

        Args:
            monitors: By name.
            sources: All running ones; a clip that waits for another one's sound is cut with what there is.
        """
        for pending in list(self._pending):
            still = monitors.get(pending.monitor.name) is pending.monitor and pending.monitor.source is pending.source
            if pending.source not in sources or _heard_all(pending, judging=still):
                self._hand_on(pending)
        return self._take(monitors)

    def stop(self, monitors: Mapping[str, Monitor]) -> EvidenceChanges:
        """Cut all clips that wait with the sound there is, write them and end."""
        for pending in list(self._pending):
            self._hand_on(pending)
        if not self._keeper.stop(STOP_SECONDS):
            log.warning("not all evidence was written within %.0f s", STOP_SECONDS)
        return self._take(monitors)

    def _await(self, monitor: Monitor, event: Event) -> _Pending:
        seen, source = event.window, monitor.source
        length = monitor.scorer.bundle.manifest.window_samples
        if seen is not None and monitor.state.last_sample_time is not None:
            window = (round(seen.start * SAMPLE_RATE), round(seen.end * SAMPLE_RATE))
        else:  # held back while shelved, over a restart: the sound of today proves it
            window = (source.ring.end - length, source.ring.end)
        return _Pending(
            monitor=monitor,
            source=source,
            channel=monitor.settings.channel,
            scorer=monitor.scorer,
            section=monitor.settings.section,
            identity=monitor.identity,
            event=event,
            window=window,
            first=window[0] - self._pre,
            end=window[1] + self._post,
        )

    def _hand_on(self, pending: _Pending) -> None:
        self._pending.remove(pending)
        monitor, event, source = pending.monitor, pending.event, pending.source
        stretch = cut(source.ring, source.column(pending.channel), pending.first, pending.end)
        evidence_id = str(event.evidence_id)
        alert = alert_of(event, pending.identity).model_dump(mode="json", by_alias=True, exclude={"late", "durable"})
        if stretch is None:
            self._keeper.lose(monitor.name, evidence_id, "its sound is no longer there")
            return
        self._keeper.offer(
            Job(
                id=evidence_id,
                agent=self._agent,
                monitor=monitor.name,
                alert=alert,
                cut=stretch,
                window=pending.window,
                scores=tuple(self._heard.get(monitor.name, ())),
                utc=(source.utc(stretch.first), source.utc(stretch.end)),
                scorer=pending.scorer,
                section=pending.section,
                domain=str(alert["domain"]),
            )
        )

    def _take(self, monitors: Mapping[str, Monitor]) -> EvidenceChanges:
        changes = EvidenceChanges()
        for outcome in self._keeper.take():
            monitor = monitors.get(outcome.monitor)
            if monitor is not None:
                self._settle(monitor, outcome.id, outcome.proof, changes)
        standing = self._keeper.standing
        if standing.fault and not self._told_fault:
            lost = standing.lost - self._lost_before
            changes.notices.append(
                AgentNotice("evidence_lost", "evidence", f"evidence is lost: {standing.fault}", lost)
            )
        elif self._told_fault and not standing.fault:
            lost = standing.lost - self._lost_before
            text = f"evidence is kept again; {lost} were lost meanwhile"
            changes.notices.append(AgentNotice("evidence_back", "evidence", text, lost))
            self._lost_before = standing.lost
        self._told_fault = bool(standing.fault)
        return changes

    def _settle(
        self, monitor: Monitor, evidence_id: str, proof: EvidenceSummary | None, changes: EvidenceChanges
    ) -> None:
        changes.add(monitor, monitor.record_evidence(evidence_id, proof, ClockReading.read(self._clock)))

    def _found(self, monitor: str, pending: PendingEvidence) -> EvidenceSummary | None:
        """What an agent that was killed had kept, but not said yet."""
        name = f"{monitor}/{pending.evidence_id}"
        try:
            clip = Record.model_validate_json((self._folder / name / RECORD).read_bytes()).clip
        except (OSError, ValueError):
            return None
        return EvidenceSummary(f"{name}/{CLIP}", clip.sha256, clip.bytes)


def _heard_all(pending: _Pending, *, judging: bool) -> bool:
    """Whether the last sample is there, or will never be, and the windows up to it are judged or can wait no longer.

    Args:
        pending: What is waited for.
        judging: Whether the monitor still judges this source's windows.
    """
    source, monitor = pending.source, pending.monitor
    over = source.state == "ended"  # asked first: what came before is in the ring
    heard = source.ring.end
    if heard < pending.end and not over:
        return False
    length = pending.window[1] - pending.window[0]
    judged = not judging or monitor.needs_from + length > min(pending.end, heard)
    waits = not source.settings.is_live  # a recording, until its windows are judged
    return judged or (not waits and heard - pending.first > 0.9 * source.ring.capacity)
