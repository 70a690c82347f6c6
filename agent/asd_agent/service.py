"""The supervisor: one loop that judges sources, scores the windows that are due and hands alarms to the publisher."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from asd_agent import __version__
from asd_agent.alarm import Event, Moment, Observation, restored
from asd_agent.bundle import Bundle
from asd_agent.capture.source import CaptureSource
from asd_agent.clock import Clock, SystemClock, iso_utc
from asd_agent.config import Config, TopicGate
from asd_agent.errors import AsdError, ConfigError
from asd_agent.health.box import disk_free_bytes, temperature_celsius
from asd_agent.monitor import Counts, Monitor, Window
from asd_agent.publish.connection import Received
from asd_agent.publish.mqtt import Publisher
from asd_agent.publish.outbox import Outbox
from asd_agent.publish.payloads import (
    AgentEvent,
    Health,
    OutboxHealth,
    SourceHealth,
    SourceState,
    WindowCounts,
    alert_of,
    clock_word,
    monitor_state_of,
    score_of,
)
from asd_agent.publish.rows import Message
from asd_agent.publish.topics import Topics
from asd_agent.scoring.scorer import BundleScorer, check_golden
from asd_agent.scoring.sessions import Sessions
from asd_agent.systemd import Notifier

log = logging.getLogger(__name__)

TURN_SECONDS = 0.2
"""The longest time between two looks at everything."""
HEALTH_SECONDS = 30.0
DRAIN_SECONDS = 3.0
_LOST, _BACK = {"stalled", "restarting", "failed"}, {"healthy", "silent", "ended"}


class Watcher(Protocol):
    """Someone in this process who wants to see what happens, such as the demo's screen."""

    def window(self, monitor: Monitor, observation: Observation) -> None:
        """A window was judged."""

    def event(self, monitor: Monitor, event: Event) -> None:
        """The alarm spoke."""


class Service:
    """Everything that `asd-agent run` does, from a valid configuration on.

    Args:
        config: What to do.
        clock: The box's clocks.
        watcher: Told of everything, from the supervisor's thread.

    Raises:
        ConfigError: A bundle cannot be used, or lacks what a monitor asks for; nothing was started.
    """

    def __init__(self, config: Config, *, clock: Clock | None = None, watcher: Watcher | None = None) -> None:
        self._config, self._clock, self._watcher = config, clock or SystemClock(), watcher
        self._started = self._clock.monotonic()
        self._stop, self._turn = threading.Event(), threading.Event()
        self._sessions = Sessions(config.providers)
        self._notifier = Notifier()
        self._topics = Topics(config.agent.name)
        scorers = _load_scorers(config, self._sessions)
        config.paths.state.mkdir(parents=True, exist_ok=True)
        self._outbox = Outbox(config.paths.state / "outbox.sqlite3", self._clock)
        self._publisher = Publisher(config.mqtt, config.agent.name, self._outbox, self._clock)
        self.sources = {
            name: CaptureSource(name, settings, clock=self._clock, notify=self._turn.set)
            for name, settings in config.sources.items()
        }
        self.monitors = [self._monitor(name, scorers) for name in config.monitors]
        self._next_health = 0.0
        self._lost: set[str] = set()
        self._events = 0

    def stop(self) -> None:
        """End the loop; may be called from a signal handler or any thread."""
        self._stop.set()
        self._turn.set()

    @property
    def waiting(self) -> int:
        """Alerts that no broker has taken yet."""
        return self._outbox.depth()

    def run(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Listen until `stop`, or until every source is a recording that is over.

        Args:
            drain_seconds: How long the end waits for a broker to take what is left; the rest stays in the outbox.
        """
        self._publisher.keep_retained(self._topics.retained(self._config.monitors, self.sources))
        for monitor in self.monitors:
            gate = monitor.settings.active_when
            if isinstance(gate, TopicGate):
                self._publisher.subscribe(gate.topic, _gate_handler(monitor))
        self._publisher.start()
        for source in self.sources.values():
            source.start()
        for monitor in self.monitors:
            self._publish_monitor(monitor, self._now())
        try:
            self._loop()
        finally:
            self._notifier.stopping()
            for source in self.sources.values():
                source.stop()
            self._publish_health()
            self._drain(drain_seconds)
            self._publisher.stop()
            self._outbox.close()

    def _drain(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while self._outbox.depth() and (left := until - self._clock.monotonic()) > 0:
            self._publisher.wait_connected(left)
            self._turn.clear()
            self._turn.wait(min(left, TURN_SECONDS))

    def _loop(self) -> None:
        ready = False
        while not self._stop.is_set():
            self._turn.wait(TURN_SECONDS)
            self._turn.clear()
            now = self._clock.monotonic()
            for source in self.sources.values():
                source.tick(now)
                self._tell_changes(source)
            if not ready and all(s.attempted for s in self.sources.values()):
                ready = True
                self._notifier.ready()
                log.info("listening: %d sources, %d monitors", len(self.sources), len(self.monitors))
            worked = self._score_due()
            for monitor in self.monitors:
                self._store(monitor, monitor.tick(self._now()))
            self._tell_notices()
            if now >= self._next_health:
                self._next_health = now + HEALTH_SECONDS
                self._publish_health()
            if self._publisher.alive() and all(s.alive or s.state == "ended" for s in self.sources.values()):
                self._notifier.feed(now)
            if worked:
                self._turn.set()
            elif all(s.state == "ended" for s in self.sources.values()):
                log.info("every recording is over")
                return

    def _monitor(self, name: str, scorers: dict[Path, BundleScorer]) -> Monitor:
        settings = self._config.monitors[name]
        scorer = scorers[self._config.bundle_path(settings.bundle)]
        full_name = f"{self._config.agent.name}/{name}"
        state, complaint = restored(self._outbox.load(name), full_name, scorer.bundle.digest, self._now())
        if complaint:
            log.warning("%s", complaint)
        return Monitor(name, settings, self.sources[settings.source], scorer, state)

    def _score_due(self) -> bool:
        """Score everything that is due, the windows of one condition together; whether there was any."""
        due: list[tuple[Monitor, Window]] = [(m, w) for m in self.monitors for w in m.take_due()]
        for source in self.sources.values():
            source.keep_from(min((m.needs_from for m in self.monitors if m.source is source), default=source.ring.end))
        groups: dict[tuple[int, str, str], list[tuple[Monitor, Window]]] = defaultdict(list)
        for monitor, window in due:
            if window.to_score:
                groups[id(monitor.scorer), monitor.settings.section, monitor.settings.domain].append((monitor, window))
        scores = {}
        for (_, section, domain), members in groups.items():
            windows = np.stack([w.signal for _, w in members])
            got = members[0][0].scorer.score(windows, section, domain, explained=True)
            scores.update({id(w): s for (_, w), s in zip(members, got, strict=True)})
        for monitor, window in due:
            now = self._now()
            observation, events = monitor.judge(window, scores.get(id(window)), now)
            self._store(monitor, events, always=True)
            self._publisher.publish_score(
                self._topics.score(monitor.name), score_of(observation, monitor.identity).to_json()
            )
            self._publish_monitor(monitor, now)
            if self._watcher:
                self._watcher.window(monitor, observation)
        return bool(due)

    def _store(self, monitor: Monitor, events: tuple[Event, ...], *, always: bool = False) -> None:
        """A state and the alerts it caused, in one transaction."""
        if not (events or always):
            return
        topic = self._topics.alert(monitor.name)
        alerts = [Message.of(topic, alert_of(e, monitor.identity)) for e in events]
        self._outbox.commit(monitor.name, monitor.state.to_json(), alerts)
        if alerts:
            self._publisher.wake()
        for event in events:
            log.info("monitor %s: %s (severity %d)", monitor.name, event.event, event.severity)
            if self._watcher:
                self._watcher.event(monitor, event)

    def _publish_monitor(self, monitor: Monitor, now: Moment) -> None:
        payload = monitor_state_of(monitor.state, monitor.identity, now)
        self._publisher.publish_state(self._topics.monitor_state(monitor.name), payload.to_json())

    def _tell_changes(self, source: CaptureSource) -> None:
        changes = source.take_changes()
        for change in changes:
            said = f": {change.reason}" if change.reason else ""
            level = logging.INFO if change.state in _BACK else logging.WARNING
            log.log(level, "source %s is %s%s", source.name, change.state, said)
            waiting = change.state == "starting" and bool(change.reason) and source.counters.restarts > 0
            if (change.state in _LOST or waiting) and source.name not in self._lost:
                self._lost.add(source.name)
                self._tell("source_lost", source.name, change.reason or change.state)
            elif change.state in _BACK and source.name in self._lost:
                self._lost.discard(source.name)
                self._tell("source_back", source.name, "delivers again")
        if changes:
            newest = changes[-1]
            since = self._clock.utc() - (self._clock.monotonic() - newest.since)
            payload = SourceState(
                state=newest.state, reason=newest.reason, since=iso_utc(since), restarts=source.counters.restarts
            )
            self._publisher.publish_state(self._topics.source_state(source.name), payload.to_json())

    def _tell_notices(self) -> None:
        for notice in self._outbox.notices():
            self._tell(notice.event, "outbox", notice.text, notice.count)

    def _tell(self, event: str, subject: str, text: str, count: int = 1) -> None:
        """An event that concerns the agent."""
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
        self._outbox.append([Message.of(self._topics.event, payload)])
        self._publisher.wake()

    def _publish_health(self) -> None:
        counts = Counts()
        for monitor in self.monitors:
            counts = counts.plus(monitor.counts)
        sources = {}
        for name, source in self.sources.items():
            heard = source.counters
            sources[name] = SourceHealth(
                state=source.state, frames=heard.frames, gaps=heard.gaps, level_dbfs=heard.level_dbfs
            )
        faults = dict(self._publisher.faults)
        if self._outbox.fault:
            faults["outbox"] = self._outbox.fault
        payload = Health(
            time=iso_utc(self._clock.utc()),
            uptime_seconds=round(self._clock.monotonic() - self._started, 1),
            versions={"asd-agent": __version__},
            providers={m.scorer.bundle.manifest.name: self._sessions.provider() for m in self.monitors},
            sources=sources,
            windows=WindowCounts(
                scored=counts.scored,
                skipped=counts.skipped,
                suspect=counts.suspect,
                invalid=counts.invalid,
                suspended=counts.suspended,
            ),
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
            faults=faults,
        )
        self._publisher.publish_state(self._topics.health, payload.to_json())
        state = "connected" if self._publisher.connected else "broker not connected"
        self._notifier.status(f"{counts.scored} windows scored, {payload.outbox.depth} alerts waiting, {state}")

    def _now(self) -> Moment:
        clock = self._clock
        return Moment(clock.utc(), clock.monotonic(), clock.boot_id, bool(clock.synchronised()))


def _gate_handler(monitor: Monitor) -> Callable[[Received], None]:
    return lambda message: monitor.hear_gate(message.payload.decode("utf-8", "replace").strip())


def _load_scorers(config: Config, sessions: Sessions) -> dict[Path, BundleScorer]:
    """Every bundle that a monitor names, verified and re-scored with the provider in use."""
    scorers: dict[Path, BundleScorer] = {}
    for name, monitor in config.monitors.items():
        path = config.bundle_path(monitor.bundle)
        try:
            if path not in scorers:
                scorers[path] = BundleScorer(Bundle.open(path), sessions)
                check_golden(scorers[path])
            scorers[path].bundle.domains(monitor.section, monitor.domain)
        except AsdError as error:
            raise ConfigError(f"monitor {name}: {error.what}", error.remedy) from error
    return scorers
