"""Recorder of evidence, in the service's loop: waits for the sound after an alarm, cuts the clip, queues it."""

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
from asd_agent.evidence.clip import cut_clip
from asd_agent.evidence.job import EvidenceJob
from asd_agent.evidence.record import EvidenceRecord
from asd_agent.evidence.store import CLIP, RECORD
from asd_agent.evidence.writer import EvidenceStats, EvidenceWriter
from asd_agent.inference.scorer import BundleScorer
from asd_agent.monitor import Identity, Monitor, MonitorEvents
from asd_agent.mqtt.mapping import alert_of
from asd_agent.notices import AgentNotice

log = logging.getLogger(__name__)

"""Time that the end waits for evidence to be written; the rest is given up at the next start."""
_SPARE_SECONDS = 20.0
"""Sound that the ring holds beyond a clip, for a scorer that is busy."""


def ring_seconds(settings: EvidenceSettings, window_seconds: float) -> float:
    """Return the seconds of sound that a source keeps: the last minute, or more where clips are longer."""
    span = settings.pre_seconds + window_seconds + settings.post_seconds if settings.enabled else 0.0
    return max(60.0, span + _SPARE_SECONDS)


@dataclass
class EvidenceChanges:
    """Changes that evidence caused, for the service to store and publish.

    Attributes:
        events: Events of each monitor whose alarm state changed; one entry a monitor, since its new state is stored
            in one transaction with all of them.
        notices: Losses, and that evidence is stored again.
        pictures: The newest picture of each monitor, as PNG.
    """

    events: dict[str, MonitorEvents] = field(default_factory=dict)
    notices: list[AgentNotice] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def add(self, monitor: Monitor, events: tuple[Event, ...]) -> None:
        """Add events of a monitor whose state has changed."""
        earlier = self.events[monitor.name][1] if monitor.name in self.events else ()
        self.events[monitor.name] = monitor, (*earlier, *events)


@dataclass(frozen=True)
class _PendingEvidence:
    """Alarm whose sound is not complete yet, with the source and bundle that raised it.

    The monitor itself may be given another source or bundle meanwhile. Samples are counted by the source.
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
    """Makes evidence of the monitors' alarms.

    Args:
        settings: Lengths of clips and limits.
        agent: Name of the agent.
        folder: Folder of all evidence.
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
        self._writer = EvidenceWriter(folder, settings, clock, wake)
        self._windows: dict[str, deque[tuple[int, int, str, float | None, float | None]]] = {}
        self._pending: list[_PendingEvidence] = []
        self._fault_reported = False
        self._lost_before = 0

    @property
    def stats(self) -> EvidenceStats:
        """Counts of stored and lost evidence."""
        return self._writer.stats

    def alive(self) -> bool:
        """Return whether the writing thread runs, or has not been started."""
        return self._writer.alive()

    def start(self, monitors: Iterable[Monitor]) -> EvidenceChanges:
        """Start the writer, and settle evidence that a killed agent had named in `raised`; see `resume`."""
        changes = self.resume(monitors)
        self._writer.start()
        return changes

    def resume(self, monitors: Iterable[Monitor]) -> EvidenceChanges:
        """Settle evidence that was named in `raised` before these monitors were loaded: stored, or given up."""
        changes = EvidenceChanges()
        lost = []
        for monitor in monitors:
            for pending in monitor.state.pending_evidence:
                summary = self._stored(monitor.name, pending)
                lost += [] if summary else [f"{pending.evidence_id} of {monitor.name}"]
                self._settle(monitor, pending.evidence_id, summary, changes)
        if lost:
            text = f"evidence was unfinished when the agent ended and is dropped: {', '.join(lost)}"
            log.warning("%s", text)
            changes.notices.append(AgentNotice("evidence_lost", "evidence", text, len(lost)))
        return changes

    def record_window(self, monitor: Monitor, window: ScoredWindow) -> None:
        """Remember a judged window for the curve."""
        windows = self._windows.setdefault(monitor.name, deque())
        first, end = round(window.start * SAMPLE_RATE), round(window.end * SAMPLE_RATE)
        if windows and end <= windows[-1][1]:
            windows.clear()  # the source counts anew
        windows.append((first, end, window.verdict, window.score, window.threshold))
        oldest = min([end - self._pre - self._post, *(p.first for p in self._pending if p.monitor is monitor)])
        while windows[0][1] < oldest - (end - first):
            windows.popleft()

    def record_event(self, monitor: Monitor, event: Event) -> None:
        """Note an event of an alarm that needs evidence, or that releases it."""
        if event.event == "raised" and event.evidence_id is not None:
            self._pending.append(self._await(monitor, event))
        elif event.event == "acknowledged" and event.alarm_id is not None:
            self._writer.acknowledge(event.alarm_id)

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
            if pending.source not in sources or _is_complete(pending, judging=still):
                self._queue(pending)
        return self._take(monitors)

    def stop(self, monitors: Mapping[str, Monitor], timeout: float = 10.0) -> EvidenceChanges:
        """Cut all clips that wait with the sound there is, write them within so many seconds and end."""
        for pending in list(self._pending):
            self._queue(pending)
        if not self._writer.stop(timeout):
            log.warning("not all evidence was written within %.1f s", timeout)
        return self._take(monitors)

    def _await(self, monitor: Monitor, event: Event) -> _PendingEvidence:
        seen, source = event.window, monitor.source
        length = monitor.scorer.bundle.manifest.window_samples
        if seen is not None and monitor.state.last_sample_time is not None:
            window = (round(seen.start * SAMPLE_RATE), round(seen.end * SAMPLE_RATE))
        else:  # held back while shelved, over a restart: the sound of now is its evidence
            window = (source.ring.end - length, source.ring.end)
        return _PendingEvidence(
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

    def _queue(self, pending: _PendingEvidence) -> None:
        self._pending.remove(pending)
        monitor, event, source = pending.monitor, pending.event, pending.source
        sound = cut_clip(source.ring, source.column(pending.channel), pending.first, pending.end)
        evidence_id = str(event.evidence_id)
        alert = alert_of(event, pending.identity).model_dump(mode="json", by_alias=True, exclude={"late", "durable"})
        if sound is None:
            self._writer.lose(monitor.name, evidence_id, "its sound is no longer there")
            return
        self._writer.offer(
            EvidenceJob(
                id=evidence_id,
                agent=self._agent,
                monitor=monitor.name,
                alert=alert,
                sound=sound,
                window=pending.window,
                scores=tuple(self._windows.get(monitor.name, ())),
                utc=(source.utc(sound.first), source.utc(sound.end)),
                scorer=pending.scorer,
                section=pending.section,
                domain=str(alert["domain"]),
                opened=source.opened,
            )
        )

    def _take(self, monitors: Mapping[str, Monitor]) -> EvidenceChanges:
        changes = EvidenceChanges()
        for outcome in self._writer.take():
            monitor = monitors.get(outcome.monitor)
            if monitor is not None:
                self._settle(monitor, outcome.id, outcome.summary, changes)
            if monitor is not None and outcome.picture:
                changes.pictures[outcome.monitor] = outcome.picture
        stats = self._writer.stats
        if stats.fault and not self._fault_reported:
            lost = stats.lost - self._lost_before
            changes.notices.append(AgentNotice("evidence_lost", "evidence", f"evidence is lost: {stats.fault}", lost))
        elif self._fault_reported and not stats.fault:
            lost = stats.lost - self._lost_before
            text = f"evidence is kept again; {lost} were lost meanwhile"
            changes.notices.append(AgentNotice("evidence_back", "evidence", text, lost))
            self._lost_before = stats.lost
        self._fault_reported = bool(stats.fault)
        return changes

    def _settle(
        self, monitor: Monitor, evidence_id: str, summary: EvidenceSummary | None, changes: EvidenceChanges
    ) -> None:
        changes.add(monitor, monitor.record_evidence(evidence_id, summary, ClockReading.read(self._clock)))

    def _stored(self, monitor: str, pending: PendingEvidence) -> EvidenceSummary | None:
        """Return the summary of evidence that a killed agent had stored and not published yet."""
        name = f"{monitor}/{pending.evidence_id}"
        try:
            clip = EvidenceRecord.model_validate_json((self._folder / name / RECORD).read_bytes()).clip
        except (OSError, ValueError):
            return None
        return EvidenceSummary(f"{name}/{CLIP}", clip.sha256, clip.bytes)


def _is_complete(pending: _PendingEvidence, *, judging: bool) -> bool:
    """Return true where the clip can be cut: its last sample is there or never will be, and its windows are judged.

    Args:
        pending: The alarm.
        judging: The monitor still judges this source's windows.
    """
    source, monitor = pending.source, pending.monitor
    ended = source.state == "ended"  # read first: the sound before it is in the ring
    end = source.ring.end
    if end < pending.end and not ended:
        return False
    length = pending.window[1] - pending.window[0]
    judged = not judging or monitor.needs_from + length > min(pending.end, end)
    # A recording waits until its windows are judged. A live source may overwrite the clip before.
    return judged or (source.settings.is_live and end - pending.first > 0.9 * source.ring.capacity)
