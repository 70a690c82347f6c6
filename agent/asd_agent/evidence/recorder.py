"""From alarms to evidence, on the supervisor's turn: waits for the sound after an alarm, cuts it and hands it on."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_agent.alarm import Event, EvidenceSummary, PendingEvidence, ScoredWindow, abandon_evidence, kept
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
from asd_agent.monitor import Identity, Monitor
from asd_agent.mqtt.mapping import alert_of

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long the end waits for evidence to be written; the rest is given up at the next start."""
_SPARE_SECONDS = 20.0
"""Sound that the ring holds beyond a clip, for a scorer that is busy."""

Say = Callable[[str, str, str, int], None]
"""Tells what concerns the agent as a whole: event, subject, text, count."""
Tell = Callable[[Monitor, Sequence[Event]], None]
"""Stores and tells a monitor's state with the events that its change caused."""


def ring_seconds(settings: EvidenceSettings, window_seconds: float) -> float:
    """Seconds of sound that a source keeps: the last minute, or more where clips are longer."""
    span = settings.pre_seconds + window_seconds + settings.post_seconds if settings.enabled else 0.0
    return max(60.0, span + _SPARE_SECONDS)


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
        notify: Called, from any thread, when a turn is wanted.
        say: Where losses are told.
    """

    def __init__(
        self,
        settings: EvidenceSettings,
        agent: str,
        folder: Path,
        clock: Clock,
        *,
        notify: Callable[[], None],
        say: Say,
    ) -> None:
        self._agent, self._folder, self._clock, self._say = agent, folder, clock, say
        self._pre = round(settings.pre_seconds * SAMPLE_RATE) if settings.enabled else 0
        self._post = round(settings.post_seconds * SAMPLE_RATE)
        self._keeper = EvidenceWriter(folder, settings, clock, notify)
        self._heard: dict[str, deque[tuple[int, int, str, float | None, float | None]]] = {}
        self._pending: list[_Pending] = []
        self._told_fault = False
        self._lost_before = 0

    @property
    def standing(self) -> Standing:
        """How the evidence fares."""
        return self._keeper.standing

    def start(self, monitors: Iterable[Monitor], tell: Tell) -> None:
        """Begin, and settle what an agent that was killed had named in `raised`: kept, or given up and said."""
        self.resume(monitors, tell)
        self._keeper.start()

    def resume(self, monitors: Iterable[Monitor], tell: Tell) -> None:
        """Settle what was named in `raised` before these monitors were there: kept, or given up and said."""
        lost = []
        for monitor in monitors:
            for awaited in monitor.state.awaited:
                proof = self._found(monitor.name, awaited)
                lost += [] if proof else [f"{awaited.evidence_id} of {monitor.name}"]
                self._settle(monitor, awaited.evidence_id, proof, tell)
        if lost:
            text = f"evidence was unfinished when the agent ended and is dropped: {', '.join(lost)}"
            log.warning("%s", text)
            self._say("evidence_lost", "evidence", text, len(lost))

    def hear(self, monitor: Monitor, observation: ScoredWindow) -> None:
        """Remember a judged window for the curve."""
        heard = self._heard.setdefault(monitor.name, deque())
        first, end = round(observation.start * SAMPLE_RATE), round(observation.end * SAMPLE_RATE)
        if heard and end <= heard[-1][1]:
            heard.clear()  # the source counts anew
        heard.append((first, end, observation.verdict, observation.score, observation.threshold))
        oldest = min([end - self._pre - self._post, *(p.first for p in self._pending if p.monitor is monitor)])
        while heard[0][1] < oldest - (end - first):
            heard.popleft()

    def follow(self, monitor: Monitor, event: Event) -> None:
        """Take note of what an alarm said."""
        if event.event == "raised" and event.evidence_id is not None:
            self._pending.append(self._await(monitor, event))
        elif event.event == "acknowledged" and event.alarm_id is not None:
            self._keeper.note(event.alarm_id)

    def needs_from(self, monitor: Monitor) -> int:
        """Index of the oldest sample that evidence of a monitor may need."""
        waiting = (p.first for p in self._pending if p.monitor is monitor and p.source is monitor.source)
        return min([monitor.needs_from - self._pre, *waiting])

    def turn(self, monitors: Mapping[str, Monitor], sources: Collection[CaptureSource], tell: Tell) -> None:
        """Cut what is heard to its end, and tell what is on disk.

        Args:
            monitors: By name.
            sources: That are listened to; what waits for another one's sound is cut with what there is.
            tell: Stores and tells.
        """
        for pending in list(self._pending):
            still = monitors.get(pending.monitor.name) is pending.monitor and pending.monitor.source is pending.source
            if pending.source not in sources or _heard_all(pending, judging=still):
                self._hand_on(pending)
        self._take(monitors, tell)

    def stop(self, monitors: Mapping[str, Monitor], tell: Tell) -> None:
        """Cut everything that waits with what there is, write it and end."""
        for pending in list(self._pending):
            self._hand_on(pending)
        if not self._keeper.stop(STOP_SECONDS):
            log.warning("not all evidence was written within %.0f s", STOP_SECONDS)
        self._take(monitors, tell)

    def _await(self, monitor: Monitor, event: Event) -> _Pending:
        seen, source = event.observation, monitor.source
        length = monitor.scorer.bundle.manifest.window_samples
        if seen is not None and monitor.state.heard is not None:
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

    def _take(self, monitors: Mapping[str, Monitor], tell: Tell) -> None:
        for outcome in self._keeper.take():
            monitor = monitors.get(outcome.monitor)
            if monitor is not None:
                self._settle(monitor, outcome.id, outcome.proof, tell)
        standing = self._keeper.standing
        if standing.fault and not self._told_fault:
            lost = standing.lost - self._lost_before
            self._say("evidence_lost", "evidence", f"evidence is lost: {standing.fault}", lost)
        elif self._told_fault and not standing.fault:
            lost = standing.lost - self._lost_before
            self._say("evidence_back", "evidence", f"evidence is kept again; {lost} were lost meanwhile", lost)
            self._lost_before = standing.lost
        self._told_fault = bool(standing.fault)

    def _settle(self, monitor: Monitor, evidence_id: str, proof: EvidenceSummary | None, tell: Tell) -> None:
        events: tuple[Event, ...] = ()
        if proof is None:
            monitor.state = abandon_evidence(monitor.state, evidence_id)
        else:
            monitor.state, events = kept(monitor.state, evidence_id, proof, ClockReading.read(self._clock))
        tell(monitor, events)

    def _found(self, monitor: str, awaited: PendingEvidence) -> EvidenceSummary | None:
        """What an agent that was killed had kept, but not said yet."""
        name = f"{monitor}/{awaited.evidence_id}"
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
