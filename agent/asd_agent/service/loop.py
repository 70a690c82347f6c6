"""The supervisor: one loop that judges sources, scores the windows that are due and lets alarms be told."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from asd_agent.alarm import Event, ScoredWindow, restore
from asd_agent.audio.source import CaptureSource
from asd_agent.clock import Clock, ClockReading, SystemClock
from asd_agent.config.model import Config
from asd_agent.errors import AsdError
from asd_agent.evidence.recorder import EvidenceRecorder, ring_seconds
from asd_agent.evidence.store import FOLDER
from asd_agent.inference.scorer import WindowScore
from asd_agent.monitor import MOST_AT_ONCE, Counts, Monitor, Window
from asd_agent.mqtt.payloads import Health
from asd_agent.mqtt.publisher import Publisher
from asd_agent.outbox.schema import OUTBOX_NAME
from asd_agent.outbox.store import Outbox
from asd_agent.runtime import release_free_memory
from asd_agent.service.loader import LoadedRuntime, load_parts, make_folder
from asd_agent.service.metrics import MetricsExporter
from asd_agent.service.operator_commands import CommandHandler
from asd_agent.service.reload import Reloader, compare
from asd_agent.service.reporter import Reporter
from asd_agent.service.systemd import Notifier

log = logging.getLogger(__name__)

CYCLE_SECONDS = 0.2
"""The longest time between two looks at everything."""
HEALTH_SECONDS = 30.0
DRAIN_SECONDS = 3.0
HANGS_SECONDS = 30.0
"""A supervisor that does not come round for so long is said to hang; half of the unit's WatchdogSec."""


class ServiceObserver(Protocol):
    """Someone in this process who wants to see what happens, such as the demo's screen."""

    def window(self, monitor: Monitor, observation: ScoredWindow) -> None:
        """A window was judged."""

    def event(self, monitor: Monitor, event: Event) -> None:
        """The alarm spoke."""


class Service:
    """Everything that `asd-agent run` does, from a valid configuration on.

    Args:
        config: What to do.
        clock: The box's clocks.
        watcher: Told of everything, from the supervisor's thread.
        reread: Reads the configuration again for `reload`; None where it came from no file.

    Raises:
        ConfigError: A bundle cannot be used or lacks what a monitor asks for, or the state folder cannot be written;
            nothing was started.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        watcher: ServiceObserver | None = None,
        reread: Callable[[], Config] | None = None,
    ) -> None:
        self._config, self._clock, self._watcher = config, clock or SystemClock(), watcher
        # A plain flag: a signal handler may run while this very thread holds an Event's lock.
        self._stopping, self._ready = False, False
        self._turn = threading.Event()
        self._gone = Counts()
        self._notifier = Notifier()
        self._assembly: LoadedRuntime = load_parts(config)
        for part, fault in self._assembly.faults.items():
            log.warning("%s: %s", part, fault)
        make_folder(config.paths.state)
        self._outbox = Outbox(config.paths.state / OUTBOX_NAME, self._clock, config.mqtt.outbox_rows)
        self._publisher = Publisher(config.mqtt, config.agent.name, self._outbox, self._clock)
        self._teller = Reporter(config, self._outbox, self._publisher, self._clock)
        self._reloader = Reloader(reread, notify=self._turn.set)
        self._orders = CommandHandler(
            config,
            self._outbox,
            self._publisher,
            self._teller,
            self._clock,
            notify=self._turn.set,
            reload=self._reloader.ask,
            report=self.report,
            sources=lambda: self.sources,
        )
        self._exporter = MetricsExporter(config.metrics, self.report, self.complaint) if config.metrics else None
        self._came_round = self._clock.monotonic()
        self._recorder = EvidenceRecorder(
            config.evidence,
            config.agent.name,
            config.paths.state / FOLDER,
            self._clock,
            notify=self._turn.set,
            say=self._teller.event,
        )
        self.sources = {name: self._source(name, self._assembly) for name in config.sources}
        self.monitors = {name: self._monitor(name, self._assembly, self.sources) for name in config.monitors}

    def stop(self) -> None:
        """End the loop within a turn; may be called from a signal handler or any thread."""
        self._stopping = True

    def reload(self) -> None:
        """Read the configuration again and go by it, if it can be used; may be called from a signal handler."""
        self._reloader.ask()

    @property
    def waiting(self) -> int:
        """Alerts that no broker has taken yet."""
        return self._outbox.depth()

    def report(self) -> Health:
        """How the agent fares; may be asked from any thread."""
        monitors = list(self.monitors.values())
        return self._teller.report(monitors, self.sources, self._assembly, self._recorder.standing, self._gone)

    def complaint(self) -> str:
        """Why the watchdog is not fed, empty while it is; may be asked from any thread."""
        late = self._clock.monotonic() - self._came_round
        return f"the supervisor has not come round for {late:.0f} s" if late > HANGS_SECONDS else self._unfit()

    def run(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Listen until `stop`, or until every source is a recording that is over.

        Args:
            drain_seconds: How long the end waits for a broker to take what is left; the rest stays in the outbox.
        """
        self._teller.start(list(self.monitors.values()), self.sources)
        self._recorder.start(self.monitors.values(), self._tell)
        self._orders.start()
        if self._exporter:
            self._exporter.start()
        for source in self.sources.values():
            source.start()
        try:
            self._loop()
        finally:
            self._notifier.stopping()
            self._orders.stop()
            if self._exporter:
                self._exporter.stop()
            self._recorder.stop(self.monitors, self._tell)  # while its sound is there
            for source in self.sources.values():
                source.stop()
                self._teller.source(source)
            self._tell_health()
            self._drain(drain_seconds)
            self._publisher.stop()
            self._outbox.close()

    def _loop(self) -> None:
        next_health = 0.0
        while not self._stopping:
            self._turn.wait(CYCLE_SECONDS)
            self._turn.clear()
            now = self._came_round = self._clock.monotonic()
            self._follow_reload()
            sources = list(self.sources.values())
            for source in sources:
                source.tick(now)
                self._teller.source(source)
            if not self._ready and all(s.attempted for s in sources):
                self._ready = True
                self._notifier.ready()
                log.info("listening: %d sources, %d monitors", len(self.sources), len(self.monitors))
            over = all(s.state == "ended" for s in sources)  # asked first: what came before is scored yet
            worked = self._score_due()
            self._orders.carry_out(self.monitors, self._watch)
            self._recorder.turn(self.monitors, sources, self._tell)
            for monitor in self.monitors.values():
                events = monitor.tick(ClockReading.read(self._clock))
                if events:
                    self._tell(monitor, events)
            self._teller.notices()
            if now >= next_health:
                next_health = now + HEALTH_SECONDS
                self._tell_health()
                release_free_memory()
            if not self._unfit():
                self._notifier.feed(now)
            if worked:
                self._turn.set()
            elif over:
                log.info("every recording is over")
                return

    def _unfit(self) -> str:
        """What has stopped that must not; empty while all goes on. A broker or a microphone that is away is no such."""
        if not self._publisher.alive():
            return "the publisher hangs"
        return ", ".join(
            f"source {s.name} has ended" for s in self.sources.values() if not (s.alive or s.state == "ended")
        )

    def _score_due(self) -> bool:
        """Score everything that is due, the windows of one bundle together; whether there was any."""
        monitors = list(self.monitors.values())
        due = [(m, w) for m in monitors for w in m.take_due()]
        scores = _score([(m, w) for m, w in due if w.to_score])
        for monitor, window in due:
            observation, events = monitor.judge(window, scores.get(id(window)), ClockReading.read(self._clock))
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
        monitors, standing = list(self.monitors.values()), self._recorder.standing
        self._notifier.status(self._teller.health(monitors, self.sources, self._assembly, standing, self._gone))

    def _drain(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while self._outbox.depth() and (left := until - self._clock.monotonic()) > 0:
            self._publisher.wait_connected(left)
            self._turn.clear()
            self._turn.wait(min(left, CYCLE_SECONDS))

    def _follow_reload(self) -> None:
        """Begin to make another configuration ready when asked, and take it over once it is."""
        if self._ready and self._reloader.begin(self._assembly):
            self._notifier.reloading()
            log.info("reading the configuration again")
        made = self._reloader.take()
        if made is None:
            return
        if isinstance(made, AsdError):
            lines = str(made).splitlines()
            for line in lines:
                log.error("not reloaded: %s", line)
            self._teller.event("reload_failed", "", "nothing was changed: " + "; ".join(lines), len(lines))
            self._reloader.answer({"error": "; ".join(lines)})
        else:
            self._reloader.answer({"text": self._take_over(made)})
        self._notifier.ready()

    def _take_over(self, made: LoadedRuntime) -> str:
        """Go by another configuration from this turn on; returns what changed.

        A source whose settings are the same keeps its child and its sound, and a monitor on it its next window.
        """
        changes, old = compare(self._assembly, made), self._config
        kept = {n: s for n, s in self.sources.items() if old.sources[n] == made.config.sources.get(n)}
        sources = {n: kept.get(n) or self._source(n, made) for n in made.config.sources}
        added = {n: self._monitor(n, made, sources) for n in made.config.monitors if n not in self.monitors}
        # From here on nothing may fail.
        for name in set(self.sources) - set(kept):
            self.sources[name].stop()
        for name, source in sources.items():
            if name not in kept:
                source.start()
        for name in set(self.monitors) - set(made.config.monitors):
            self._gone = self._gone.plus(self.monitors[name].counts)
        monitors: dict[str, Monitor] = {}
        for name, settings in made.config.monitors.items():
            monitors[name] = added.get(name) or self.monitors[name]
            if name not in added:
                monitors[name].change(settings, sources[settings.source], made.scorers[name])
                self._teller.change(monitors[name], ())
        self._config, self._assembly, self.sources, self.monitors = made.config, made, sources, monitors
        self._recorder.resume(added.values(), self._tell)
        self._orders.follow(made.config)
        self._teller.follow(made.config, list(monitors.values()), sources)
        for part, fault in made.faults.items():
            log.warning("%s: %s", part, fault)
        for name, text in changes.bundles.items():
            self._teller.event("bundle_changed", name, text)
        self._teller.event("reloaded", "", changes.text)
        log.info("reloaded: %s", changes.text)
        self._tell_health()
        return changes.text

    def _source(self, name: str, made: LoadedRuntime) -> CaptureSource:
        longest = max(s.bundle.manifest.window_seconds for s in made.scorers.values())
        kept = ring_seconds(made.config.evidence, longest)
        return CaptureSource(name, made.config.sources[name], clock=self._clock, seconds=kept, notify=self._turn.set)

    def _monitor(self, name: str, made: LoadedRuntime, sources: Mapping[str, CaptureSource]) -> Monitor:
        settings, scorer = made.config.monitors[name], made.scorers[name]
        full_name = f"{made.config.agent.name}/{name}"
        now = ClockReading.read(self._clock)
        state, complaint = restore(
            self._outbox.load(name), full_name, scorer.bundle.digest, now, records=made.config.evidence.enabled
        )
        if complaint:
            log.warning("%s", complaint)
        return Monitor(name, settings, sources[settings.source], scorer, state)


def _score(wanted: Sequence[tuple[Monitor, Window]]) -> dict[int, WindowScore]:
    """Scores by the windows' identities; those of one bundle are scored together."""
    groups: dict[int, list[tuple[Monitor, Window]]] = defaultdict(list)
    for monitor, window in wanted:
        groups[id(monitor.scorer)].append((monitor, window))
    scores: dict[int, WindowScore] = {}
    for members in groups.values():
        for first in range(0, len(members), MOST_AT_ONCE):
            some = members[first : first + MOST_AT_ONCE]
            windows = np.stack([w.signal for _, w in some])
            asked = [(m.settings.section, m.settings.domain) for m, _ in some]
            got = some[0][0].scorer.score_each(windows, asked, explained="unusual")
            scores.update({id(w): s for (_, w), s in zip(some, got, strict=True)})
    return scores
