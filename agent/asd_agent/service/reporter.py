"""What the service has to say: alerts with the state that caused them, states of monitors and sources, health."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from asd_agent import __version__
from asd_agent.alarm import Event, ScoredWindow
from asd_agent.audio.source import CaptureSource
from asd_agent.clock import Clock, ClockReading, iso_utc
from asd_agent.config.model import Config, TopicGate
from asd_agent.evidence.writer import Standing
from asd_agent.monitor import Counts, Monitor
from asd_agent.mqtt.connection import Received
from asd_agent.mqtt.home_assistant import Card, announce
from asd_agent.mqtt.mapping import alert_of, clock_word, message_of, monitor_state_of, score_of
from asd_agent.mqtt.payloads import (
    AgentEvent,
    DeliveryHealth,
    EvidenceHealth,
    Health,
    OutboxHealth,
    SourceHealth,
    SourceState,
    WindowCounts,
)
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.rows import Message, Record
from asd_agent.outbox.store import Outbox
from asd_agent.runtime import disk_free_bytes, temperature_celsius
from asd_agent.service.loader import LoadedRuntime

log = logging.getLogger(__name__)

_LOST, _BACK = {"stalled", "restarting", "failed"}, {"healthy", "silent", "ended"}


class Reporter:
    """Hands everything to the outbox or the publisher, each as its topic wants it.

    Args:
        config: Names and the broker.
        outbox: Where alerts wait.
        publisher: Sends; started and stopped here.
        clock: The clocks.
    """

    def __init__(self, config: Config, outbox: Outbox, publisher: Publisher, clock: Clock) -> None:
        self._config, self._outbox, self._publisher, self._clock = config, outbox, publisher, clock
        self.topics = Topics(config.agent.name)
        self._started = clock.monotonic()
        self._lost: dict[str, set[str]] = {}
        self._gates: dict[str, _Gate] = {}
        self._retained: frozenset[str] = frozenset()
        self._events = 0

    def start(self, monitors: Sequence[Monitor], sources: Collection[str]) -> None:
        """Begin to publish, with the state of every monitor."""
        self._announce(monitors, sources)
        self._publisher.start()
        for monitor in monitors:
            self.state(monitor)

    def follow(self, config: Config, monitors: Sequence[Monitor], sources: Collection[str]) -> None:
        """Go by another configuration: what is new is announced, what is gone is cleared from the broker."""
        before, self._config = self._retained, config
        self._lost = {name: said for name, said in self._lost.items() if name in sources}
        self._announce(monitors, sources)
        self._publisher.clear(before - self._retained)
        for monitor in monitors:
            self.state(monitor)

    def _announce(self, monitors: Sequence[Monitor], sources: Collection[str]) -> None:
        keep = self.topics.retained([m.name for m in monitors], sources)
        self._publisher.keep_retained(keep)
        self._follow_gates(monitors)
        announced: Collection[str] = ()
        if self._config.mqtt.home_assistant:
            cards = {
                m.name: Card(m.identity.machine, m.identity.section, m.source.name, m.settings.hop_seconds)
                for m in monitors
            }
            announced = announce(self._publisher, self._config.mqtt.home_assistant, cards, self._config.commands)
        self._retained = keep | set(announced)

    def _follow_gates(self, monitors: Sequence[Monitor]) -> None:
        """Hear the topics that say whether machines run; one may speak for several monitors."""
        gates: dict[str, list[Monitor]] = {}
        for monitor in monitors:
            gate = monitor.settings.active_when
            if isinstance(gate, TopicGate):
                gates.setdefault(gate.topic, []).append(monitor)
        for topic in set(self._gates) - set(gates):
            self._publisher.unsubscribe(topic)
        self._gates = {topic: self._gates.get(topic, _Gate()) for topic in gates}
        for topic, listeners in gates.items():
            self._gates[topic].serve(listeners)
            self._publisher.subscribe(topic, self._gates[topic].hear)

    def change(
        self, monitor: Monitor, events: Sequence[Event], more: Sequence[Message] = (), record: Record | None = None
    ) -> None:
        """Store a monitor's state with the alerts that its change caused, all or nothing."""
        topic = self.topics.alert(monitor.name)
        alerts = [message_of(topic, alert_of(e, monitor.identity)) for e in events]
        self._outbox.commit(monitor.name, monitor.state.to_json(), [*alerts, *more], record)
        if alerts or more:
            self._publisher.wake()
        for event in events:
            log.info("monitor %s: %s (severity %d)", monitor.name, event.event, event.severity)

    def state(self, monitor: Monitor) -> None:
        """Publish a monitor's state, retained."""
        payload = monitor_state_of(monitor.state, monitor.identity, ClockReading.read(self._clock))
        self._publisher.publish_state(self.topics.monitor_state(monitor.name), payload)

    def score(self, monitor: Monitor, observation: ScoredWindow) -> None:
        """Publish a window's score, if anybody can hear it now."""
        self._publisher.publish_score(self.topics.score(monitor.name), score_of(observation, monitor.identity))

    def source(self, source: CaptureSource) -> None:
        """Log and publish what changed about a source, and say when it is lost and back."""
        changes = source.take_changes()
        for change in changes:
            said = f": {change.reason}" if change.reason else ""
            waits = change.state == "starting" and source.attempted
            level = logging.INFO
            if change.state in _LOST or waits:
                if source.name not in self._lost:
                    self._lost[source.name] = set()
                    self.event("source_lost", source.name, change.reason or change.state)
                # A line for each reason, once; the attempts between are for the source's topic.
                known = self._lost[source.name]
                level = logging.DEBUG if change.reason in known else logging.WARNING
                known.add(change.reason)
            elif change.state in _BACK and self._lost.pop(source.name, None) is not None:
                self.event("source_back", source.name, "delivers again")
            if change.state == "silent":
                level = logging.WARNING
            log.log(level, "source %s is %s%s", source.name, change.state, said)
        if changes:
            newest = changes[-1]
            since = self._clock.utc() - (self._clock.monotonic() - newest.since)
            restarts = source.counters.restarts
            payload = SourceState(state=newest.state, reason=newest.reason, since=iso_utc(since), restarts=restarts)
            self._publisher.publish_state(self.topics.source_state(source.name), payload)

    def notices(self) -> None:
        """Say what happened to the outbox itself."""
        for notice in self._outbox.notices():
            self.event(notice.event, "outbox", notice.text, notice.count)

    def event(self, event: str, subject: str, text: str, count: int = 1) -> None:
        """Say what concerns the agent as a whole."""
        self._events += 1
        boot_id = self._clock.boot_id
        payload = AgentEvent(
            id=f"{self._config.agent.name}-{boot_id[:8]}-{round(self._started * 1000)}-{self._events}",
            event=event,
            subject=subject,
            text=text,
            count=count,
            time=iso_utc(self._clock.utc()),
            boot_id=boot_id,
            clock=clock_word(self._clock.synchronised()),
            late=False,
            durable=True,
        )
        self._outbox.append([message_of(self.topics.event, payload)])
        self._publisher.wake()

    def health(
        self,
        monitors: Sequence[Monitor],
        sources: Mapping[str, CaptureSource],
        made: LoadedRuntime,
        evidence: Standing,
        gone: Counts,
    ) -> str:
        """Publish how the agent fares; returns it in one line. For the arguments see `report`."""
        payload = self.report(monitors, sources, made, evidence, gone)
        self._publisher.publish_state(self.topics.health, payload)
        broker = "connected" if payload.delivery.connected else "broker not connected"
        return f"{payload.windows.scored} windows scored, {payload.outbox.depth} alerts waiting, {broker}"

    def report(
        self,
        monitors: Sequence[Monitor],
        sources: Mapping[str, CaptureSource],
        made: LoadedRuntime,
        evidence: Standing,
        gone: Counts,
    ) -> Health:
        """How the agent fares; may be asked from any thread.

        Args:
            monitors: All there are.
            sources: By name.
            made: The bundles.
            evidence: How it fares.
            gone: Counts of monitors that are no more.
        """
        counts, tally = gone, self._publisher.tally
        for monitor in monitors:
            counts = counts.plus(monitor.counts)
        return Health(
            time=iso_utc(self._clock.utc()),
            uptime_seconds=round(self._clock.monotonic() - self._started, 1),
            versions={"asd-agent": __version__},
            providers=dict(made.providers),
            sources={name: _source_health(source) for name, source in sources.items()},
            windows=_window_counts(counts),
            monitors={m.name: _window_counts(m.counts) for m in monitors},
            outbox=OutboxHealth(
                depth=self._outbox.depth(),
                oldest_seconds=round(self._outbox.oldest_seconds(), 1),
                dropped=self._outbox.dropped,
                durable=self._outbox.fault is None,
            ),
            disk_free_bytes=disk_free_bytes(self._config.paths.state),
            temperature_celsius=temperature_celsius(),
            boot_id=self._clock.boot_id,
            clock=clock_word(self._clock.synchronised()),
            faults={
                **made.faults,
                **self._publisher.faults,
                **({"evidence": evidence.fault} if evidence.fault else {}),
            },
            evidence=EvidenceHealth(kept=evidence.kept, bytes=evidence.bytes, lost=evidence.lost),
            delivery=DeliveryHealth(
                connected=self._publisher.connected,
                connects=self._publisher.connects,
                scores_dropped=self._publisher.scores_dropped,
                **asdict(tally),
            ),
        )


def _source_health(source: CaptureSource) -> SourceHealth:
    heard = source.counters
    return SourceHealth(
        state=source.state,
        frames=heard.frames,
        gaps=heard.gaps,
        level_dbfs=heard.level_dbfs,
        samples_lost=heard.samples_lost,
        overflows=heard.overflows,
        drops=heard.drops,
        restarts=heard.restarts,
        wall_steps=heard.wall_steps,
        drift_ppm=round(heard.drift_ppm, 2),
    )


def _window_counts(counts: Counts) -> WindowCounts:
    return WindowCounts(**asdict(counts))


class _Gate:
    """What a topic last said, for the monitors that go by it now."""

    def __init__(self) -> None:
        self._monitors: tuple[Monitor, ...] = ()
        self._said: str | None = None

    def serve(self, monitors: Sequence[Monitor]) -> None:
        """From now on these go by it, beginning with what it said last."""
        self._monitors = tuple(monitors)
        if self._said is not None:
            self._tell(self._said)

    def hear(self, message: Received) -> None:
        """The topic speaks."""
        self._said = message.payload.decode("utf-8", "replace").strip()
        self._tell(self._said)

    def _tell(self, said: str) -> None:
        for monitor in self._monitors:
            monitor.hear_gate(said)
