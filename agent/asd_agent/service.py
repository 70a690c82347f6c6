"""The supervisor: one loop that judges sources, scores the windows that are due and lets alarms be told."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from asd_agent.alarm import Event, Moment, Observation, restored
from asd_agent.assembly import Assembly, assemble, make_folder
from asd_agent.capture.source import CaptureSource
from asd_agent.clock import Clock, SystemClock
from asd_agent.config import Config
from asd_agent.evidence.files import FOLDER
from asd_agent.evidence.recorder import Recorder, ring_seconds
from asd_agent.monitor import Monitor, Window
from asd_agent.orders import Orders
from asd_agent.publish.database import OUTBOX_NAME
from asd_agent.publish.mqtt import Publisher
from asd_agent.publish.outbox import Outbox
from asd_agent.scoring.scorer import WindowScore
from asd_agent.systemd import Notifier
from asd_agent.telling import Teller

log = logging.getLogger(__name__)

TURN_SECONDS = 0.2
"""The longest time between two looks at everything."""
HEALTH_SECONDS = 30.0
DRAIN_SECONDS = 3.0


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
        ConfigError: A bundle cannot be used or lacks what a monitor asks for, or the state folder cannot be written;
            nothing was started.
    """

    def __init__(self, config: Config, *, clock: Clock | None = None, watcher: Watcher | None = None) -> None:
        self._config, self._clock, self._watcher = config, clock or SystemClock(), watcher
        self._stop, self._turn = threading.Event(), threading.Event()
        self._notifier = Notifier()
        self._assembly: Assembly = assemble(config)
        for part, fault in self._assembly.faults.items():
            log.warning("%s: %s", part, fault)
        make_folder(config.paths.state)
        self._outbox = Outbox(config.paths.state / OUTBOX_NAME, self._clock, config.mqtt.outbox_rows)
        self._publisher = Publisher(config.mqtt, config.agent.name, self._outbox, self._clock)
        self._teller = Teller(config, self._outbox, self._publisher, self._clock)
        self._orders = Orders(config, self._outbox, self._publisher, self._teller, self._clock, notify=self._turn.set)
        self._recorder = Recorder(
            config.evidence,
            config.agent.name,
            config.paths.state / FOLDER,
            self._clock,
            notify=self._turn.set,
            say=self._teller.event,
        )
        kept = ring_seconds(
            config.evidence, max(s.bundle.manifest.window_seconds for s in self._assembly.scorers.values())
        )
        self.sources = {
            name: CaptureSource(name, settings, clock=self._clock, seconds=kept, notify=self._turn.set)
            for name, settings in config.sources.items()
        }
        self.monitors = {name: self._monitor(name) for name in config.monitors}

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
        self._teller.start(list(self.monitors.values()), self.sources)
        self._recorder.start(self.monitors.values(), self._tell)
        self._orders.start()
        for source in self.sources.values():
            source.start()
        try:
            self._loop()
        finally:
            self._notifier.stopping()
            self._orders.stop()
            self._recorder.stop(self.monitors, self._tell)  # while its sound is there
            for source in self.sources.values():
                source.stop()
                self._teller.source(source)
            self._tell_health()
            self._drain(drain_seconds)
            self._publisher.stop()
            self._outbox.close()

    def _loop(self) -> None:
        ready, next_health = False, 0.0
        sources = list(self.sources.values())
        while not self._stop.is_set():
            self._turn.wait(TURN_SECONDS)
            self._turn.clear()
            now = self._clock.monotonic()
            for source in sources:
                source.tick(now)
                self._teller.source(source)
            if not ready and all(s.attempted for s in sources):
                ready = True
                self._notifier.ready()
                log.info("listening: %d sources, %d monitors", len(self.sources), len(self.monitors))
            over = all(s.state == "ended" for s in sources)  # asked first: what came before is scored yet
            worked = self._score_due()
            self._orders.carry_out(self.monitors, self._watch)
            self._recorder.turn(self.monitors, sources, self._tell)
            for monitor in self.monitors.values():
                events = monitor.tick(Moment.read(self._clock))
                if events:
                    self._tell(monitor, events)
            self._teller.notices()
            if now >= next_health:
                next_health = now + HEALTH_SECONDS
                self._tell_health()
            if self._publisher.alive() and all(s.alive or s.state == "ended" for s in sources):
                self._notifier.feed(now)
            if worked:
                self._turn.set()
            elif over:
                log.info("every recording is over")
                return

    def _score_due(self) -> bool:
        """Score everything that is due, the windows of one condition together; whether there was any."""
        monitors = list(self.monitors.values())
        due = [(m, w) for m in monitors for w in m.take_due()]
        scores = _score([(m, w) for m, w in due if w.to_score])
        for monitor, window in due:
            observation, events = monitor.judge(window, scores.get(id(window)), Moment.read(self._clock))
            self._recorder.hear(monitor, observation)
            self._tell(monitor, events)
            self._teller.score(monitor, observation)
            if self._watcher:
                self._watcher.window(monitor, observation)
        for source in self.sources.values():  # only now: an alarm among these windows wants the sound before it
            needed = [self._recorder.needs_from(m) for m in monitors if m.source is source]
            source.keep_from(min(needed, default=source.ring.end))
        return bool(due)

    def _tell(self, monitor: Monitor, events: Sequence[Event]) -> None:
        self._teller.change(monitor, events)
        self._teller.state(monitor)
        for event in events:
            self._watch(monitor, event)

    def _watch(self, monitor: Monitor, event: Event) -> None:
        self._recorder.follow(monitor, event)
        if self._watcher:
            self._watcher.event(monitor, event)

    def _tell_health(self) -> None:
        standing = self._recorder.standing
        monitors = list(self.monitors.values())
        self._notifier.status(self._teller.health(monitors, self.sources, self._assembly, standing))

    def _drain(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while self._outbox.depth() and (left := until - self._clock.monotonic()) > 0:
            self._publisher.wait_connected(left)
            self._turn.clear()
            self._turn.wait(min(left, TURN_SECONDS))

    def _monitor(self, name: str) -> Monitor:
        settings, scorer = self._config.monitors[name], self._assembly.scorers[name]
        full_name = f"{self._config.agent.name}/{name}"
        now = Moment.read(self._clock)
        state, complaint = restored(
            self._outbox.load(name), full_name, scorer.bundle.digest, now, records=self._config.evidence.enabled
        )
        if complaint:
            log.warning("%s", complaint)
        return Monitor(name, settings, self.sources[settings.source], scorer, state)


def _score(wanted: Sequence[tuple[Monitor, Window]]) -> dict[int, WindowScore]:
    """Scores by the windows' identities; those of one bundle, section and domain are scored together."""
    groups: dict[tuple[int, str, str], list[tuple[Monitor, Window]]] = defaultdict(list)
    for monitor, window in wanted:
        groups[id(monitor.scorer), monitor.settings.section, monitor.settings.domain].append((monitor, window))
    scores: dict[int, WindowScore] = {}
    for (_, section, domain), members in groups.items():
        windows = np.stack([w.signal for _, w in members])
        got = members[0][0].scorer.score(windows, section, domain, explained=True)
        scores.update({id(w): s for (_, w), s in zip(members, got, strict=True)})
    return scores
