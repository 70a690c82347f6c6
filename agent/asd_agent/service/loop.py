"""The service's loop: judges sources, scores the windows that are due, and lets alarms be stored and published."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from asd_agent.alarm import Event, ScoredWindow
from asd_agent.clock import ClockReading
from asd_agent.errors import AsdError
from asd_agent.evidence.recorder import EvidenceChanges
from asd_agent.inference.scorer import WindowScore
from asd_agent.monitor import MOST_AT_ONCE, Monitor, MonitorEvents, Window
from asd_agent.mqtt.health import Health
from asd_agent.notices import AgentNotice
from asd_agent.runtime import release_free_memory
from asd_agent.service.fitness import unfit
from asd_agent.service.health import health_of, summary_of
from asd_agent.service.loaded_bundles import LoadedBundles
from asd_agent.service.loader import LoadedRuntime
from asd_agent.service.reload import compare
from asd_agent.service.requests import answer_requests
from asd_agent.service.systemd import Notifier

log = logging.getLogger(__name__)

CYCLE_SECONDS = 0.2
"""The longest time between two cycles: sources are judged several times a second."""
HEALTH_SECONDS = 30.0
DRAIN_SECONDS = 3.0
"""Time that the end waits for a broker to acknowledge what is left."""
STOP_SECONDS = 15.0
"""Time that all parts have for their end together, less than the unit's TimeoutStopSec: a part that hangs takes nothing
from those after it."""
WRITE_SECONDS = 5.0
"""Share of it at most for evidence, and the same for the history."""
PUBLISH_SECONDS = 6.0
"""Share of it that is kept for the broker and the targets of notifications, which come last."""
HANGS_SECONDS = 30.0
"""A loop without a cycle for so long counts as hung; half of the unit's WatchdogSec."""


class ServiceObserver(Protocol):
    """An object of this process that follows the service, such as the demo's screen; called on the loop's thread."""

    def window(self, monitor: Monitor, window: ScoredWindow) -> None:
        """Receive a window that was judged."""

    def event(self, monitor: Monitor, event: Event) -> None:
        """Receive an event of an alarm."""


class Service:
    """The work of `asd-agent run`: starts the parts, runs cycles until it is stopped, and stops the parts.

    Args:
        runtime: The parts.
        observer: Receives every judged window and every event.
    """

    def __init__(self, runtime: LoadedRuntime, observer: ServiceObserver | None = None) -> None:
        self._runtime, self._observer = runtime, observer
        # A plain flag: a signal handler may run while this very thread holds an Event's lock.
        self._stopping, self._ready = False, False
        self._notifier = Notifier()
        self._last_cycle = runtime.clock.monotonic()

    def stop(self) -> None:
        """End the loop within a cycle; may be called from a signal handler or any thread."""
        self._stopping = True

    def reload(self) -> None:
        """Read the configuration again and apply it, if it can be used; may be called from a signal handler."""
        self._runtime.reloader.ask()

    @property
    def waiting(self) -> int:
        """Number of alerts that no broker has acknowledged yet."""
        return self._runtime.outbox.depth()

    def health(self) -> Health:
        """Return the health report; may be called from any thread."""
        return health_of(self._runtime)

    def complaint(self) -> str:
        """Return why the watchdog is not fed, empty while it is; may be called from any thread."""
        late = self._runtime.clock.monotonic() - self._last_cycle
        return f"the loop has not run for {late:.0f} s" if late > HANGS_SECONDS else unfit(self._runtime)

    def run(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Run until `stop`, or until every source is a recording that has ended.

        Args:
            drain_seconds: Time that the end waits for a broker to acknowledge what is left; the rest stays stored.
        """
        self._start()
        try:
            self._loop()
        finally:
            self._stop(drain_seconds)

    def _start(self) -> None:
        parts = self._runtime
        logging.getLogger().addHandler(parts.recent_lines)
        parts.reporter.announce(parts.config, list(parts.monitors.values()), parts.sources)
        parts.reporter.publish_out_of_service(parts.out_of_service())
        parts.publisher.start()
        self._store_evidence(parts.recorder.start(parts.monitors.values()))
        if parts.history_writer:
            parts.history_writer.start()
        parts.control.start()
        if parts.gateway:
            parts.gateway.start(parts.config)
        parts.notifier.start()
        if parts.metrics:
            parts.metrics.start(self)
        for source in parts.sources.values():
            source.start()
        parts.working = True

    def _stop(self, drain_seconds: float) -> None:
        parts = self._runtime
        parts.working = False
        until = parts.clock.monotonic() + STOP_SECONDS

        def left(most: float, kept: float = 0.0) -> float:
            return max(0.1, min(most, until - kept - parts.clock.monotonic()))

        self._notifier.stopping()
        if parts.gateway:
            parts.gateway.stop()
        parts.control.stop()
        if parts.metrics:
            parts.metrics.stop()
        # While the sources still hold its sound.
        self._store_evidence(parts.recorder.stop(parts.monitors, left(WRITE_SECONDS, PUBLISH_SECONDS)))
        for source in parts.sources.values():
            source.end()
        for source in parts.sources.values():
            source.stop(left(2.0, PUBLISH_SECONDS))
            parts.reporter.publish_source(source)
        if parts.history_writer:
            parts.history_writer.stop(left(WRITE_SECONDS, PUBLISH_SECONDS))
        self._publish_health()
        self._drain(left(drain_seconds))
        parts.notifier.stop(left(3.0))
        parts.publisher.stop(left(3.0))
        parts.outbox.close()
        parts.lock.release()
        logging.getLogger().removeHandler(parts.recent_lines)

    def _loop(self) -> None:
        parts, next_health = self._runtime, 0.0
        while not self._stopping:
            parts.wake.wait(CYCLE_SECONDS)
            parts.wake.clear()
            now = self._last_cycle = parts.clock.monotonic()
            self._follow_reload()
            sources = list(parts.sources.values())
            for source in sources:
                source.tick(now)
                parts.reporter.publish_source(source)
            if not self._ready and all(s.attempted for s in sources):
                self._ready = True
                self._notifier.ready()
                log.info("listening: sources %d, monitors %d", len(sources), len(parts.monitors))
            # Asked before scoring: windows that came before the end of a recording are still scored.
            ended = bool(sources) and all(s.state == "ended" for s in sources)
            parts.gates.receive()
            for (monitor, events), notice in parts.former.receive(parts.monitors, ClockReading.read(parts.clock)):
                self._store(monitor, events)
                log.error("%s. Was the state folder deleted?", notice.text)
                parts.reporter.store_notice(notice)
            scored = self._score_due()
            self._handle(parts.commands.apply_received(parts.monitors))
            self._handle(answer_requests(parts))
            self._store_evidence(parts.recorder.cycle(parts.monitors, sources))
            reading = ClockReading.read(parts.clock)
            for monitor in parts.monitors.values():
                events = monitor.tick(reading)
                if events:
                    self._store(monitor, events)
            parts.chain_tests.cycle()
            parts.installer.cycle(parts.monitors)
            parts.control.cycle(now)
            if parts.gateway:
                parts.gateway.cycle(now)
            if (flood := parts.flood.cycle(now)) is not None:
                log.warning("%s", flood.text)
                parts.reporter.store_notice(flood)
            parts.reporter.store_outbox_notices()
            for notice in parts.notifier.cycle():
                parts.reporter.store_notice(notice)
            if now >= next_health:
                next_health = now + HEALTH_SECONDS
                self._publish_health()
                release_free_memory()
            if not unfit(self._runtime):
                self._notifier.feed(now)
            if scored:
                parts.wake.set()
            elif ended:
                log.info("every recording is over")
                return

    def _score_due(self) -> bool:
        """Score all windows that are due, those of one bundle together; return whether there was any."""
        parts = self._runtime
        monitors = list(parts.monitors.values())
        due = [(m, w) for m in monitors for w in m.take_due()]
        scores = _score([(m, w) for m, w in due if w.to_score])
        for monitor, window in due:
            scored, events = monitor.judge(window, scores.get(id(window)), ClockReading.read(parts.clock))
            parts.recorder.record_window(monitor, scored)
            parts.installer.record_window(monitor, scored)
            if parts.history:
                parts.history.record_window(monitor, scored)
            self._store(monitor, events)
            parts.reporter.publish_score(monitor, scored)
            if self._observer:
                self._observer.window(monitor, scored)
        for source in parts.sources.values():  # only now: an alarm among these windows needs the sound before it
            readers = [m for m in monitors if m.source is source]
            if source.settings.is_live:  # it keeps what its ring holds, and a block is no reason for a cycle
                source.wake_at(min((m.due_at for m in readers), default=source.ring.end))
            else:
                source.keep_from(min((parts.recorder.needs_from(m) for m in readers), default=source.ring.end))
        return bool(due)

    def _store(self, monitor: Monitor, events: Sequence[Event]) -> None:
        """Store a monitor's state with its events, publish it, and pass the events on."""
        self._runtime.reporter.store(monitor, events)
        self._runtime.reporter.publish_state(monitor)
        self._handle([(monitor, tuple(events))])

    def _store_evidence(self, changes: EvidenceChanges) -> None:
        for monitor, events in changes.events.values():
            self._store(monitor, events)
        for name, picture in changes.pictures.items():
            self._runtime.reporter.publish_picture(name, picture)
        for notice in changes.notices:
            self._runtime.reporter.store_notice(notice)

    def _handle(self, changes: Iterable[MonitorEvents]) -> None:
        """Pass stored events on to the evidence and the observer."""
        for monitor, events in changes:
            for event in events:
                self._runtime.recorder.record_event(monitor, event)
                if event.event == "raised":
                    self._runtime.flood.record(monitor.name, self._runtime.clock.monotonic())
                if self._runtime.history:
                    self._runtime.history.record_event(monitor, event)
                if self._observer:
                    self._observer.event(monitor, event)

    def _publish_health(self) -> None:
        health = self.health()
        self._runtime.reporter.publish_health(health)
        self._notifier.status(summary_of(health))

    def _drain(self, seconds: float) -> None:
        parts = self._runtime
        until = parts.clock.monotonic() + seconds
        while parts.outbox.depth() and (left := until - parts.clock.monotonic()) > 0:
            parts.publisher.wait_connected(left)
            parts.wake.clear()
            parts.wake.wait(min(left, CYCLE_SECONDS))

    def _follow_reload(self) -> None:
        """Start to load another configuration when asked to, and apply it once it is loaded."""
        parts = self._runtime
        if self._ready and parts.reloader.begin(parts.bundles):
            self._notifier.reloading()
            log.info("reading the configuration again")
        outcome = parts.reloader.take()
        if outcome is None:
            return
        if isinstance(outcome, AsdError):
            lines = str(outcome).splitlines()
            for line in lines:
                log.error("not reloaded: %s", line)
            text = "nothing was changed: " + "; ".join(lines)
            parts.reporter.store_notice(AgentNotice("reload_failed", "", text, len(lines)))
            parts.reloader.answer({"error": "; ".join(lines)})
        else:
            parts.reloader.answer({"text": self._apply(outcome)})
        self._notifier.ready()

    def _apply(self, bundles: LoadedBundles) -> str:
        """Run with another configuration from this cycle on; return what changed, in words."""
        parts = self._runtime
        changes = compare(parts.bundles, bundles)
        replaced = parts.replace(bundles)
        for monitor in replaced.removed:
            self._store(monitor, monitor.retire(ClockReading.read(parts.clock)))
        for monitor in replaced.changed:
            parts.reporter.store(monitor, ())
        self._store_evidence(parts.recorder.resume(replaced.added))
        parts.reporter.announce(bundles.config, list(parts.monitors.values()), parts.sources)
        parts.reporter.publish_out_of_service(parts.out_of_service())
        if parts.gateway:
            parts.gateway.use(bundles.config)
        for name, text in changes.bundles.items():
            parts.reporter.store_notice(AgentNotice("bundle_changed", name, text))
        parts.reporter.store_notice(AgentNotice("reloaded", "", changes.text))
        log.info("reloaded: %s", changes.text)
        self._publish_health()
        return changes.text


def _score(wanted: Sequence[tuple[Monitor, Window]]) -> dict[int, WindowScore]:
    """Return scores by the identity of each window; those of one bundle are scored together."""
    groups: dict[int, list[tuple[Monitor, Window]]] = defaultdict(list)
    for monitor, window in wanted:
        groups[id(monitor.scorer)].append((monitor, window))
    scores: dict[int, WindowScore] = {}
    for members in groups.values():
        for first in range(0, len(members), MOST_AT_ONCE):
            some = members[first : first + MOST_AT_ONCE]
            windows = np.stack([w.signal for _, w in some])
            asked = [(m.settings.section, m.settings.domain) for m, _ in some]
            started = time.perf_counter()
            got = some[0][0].scorer.score_each(windows, asked, explained="unusual")
            seconds = round((time.perf_counter() - started) / len(some), 6)
            for monitor, _ in some:
                monitor.scoring_seconds = seconds
            scores.update({id(w): s for (_, w), s in zip(some, got, strict=True)})
    return scores
