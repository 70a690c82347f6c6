"""All parts of the service, built from a valid configuration."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asd_agent.alarm import AlarmState, restore
from asd_agent.audio.source import CaptureSource
from asd_agent.clock import Clock, ClockReading, SystemClock
from asd_agent.config.model import Config
from asd_agent.control_client import SOCKET_NAME
from asd_agent.errors import ConfigError
from asd_agent.evidence.recorder import EvidenceRecorder, ring_seconds
from asd_agent.evidence.store import FOLDER
from asd_agent.history import FILE_NAME as HISTORY_NAME
from asd_agent.history.recorder import HistoryRecorder
from asd_agent.history.store import Limits as HistoryLimits
from asd_agent.history.writer import HistoryWriter
from asd_agent.monitor import Counts, Identity, Monitor
from asd_agent.mqtt.commands import CommandReceiver
from asd_agent.mqtt.install_commands import InstallReceiver
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.notify.notifier import Notifications
from asd_agent.outbox.schema import OUTBOX_NAME
from asd_agent.outbox.store import Outbox
from asd_agent.service.bundle_installer import BundleInstaller, recover_installing
from asd_agent.service.chain_test import ChainTests
from asd_agent.service.control import ControlServer
from asd_agent.service.flood import FloodGuard
from asd_agent.service.former_states import FormerStates
from asd_agent.service.gates import TopicGates
from asd_agent.service.gateway_process import GatewayProcess
from asd_agent.service.inventory import digest_of
from asd_agent.service.loaded_bundles import LoadedBundles, load_bundles
from asd_agent.service.lock import StateLock
from asd_agent.service.logs import RecentLines
from asd_agent.service.operator_commands import CommandHandler
from asd_agent.service.reload import Reloader
from asd_agent.service.reporter import Reporter

if TYPE_CHECKING:
    from asd_agent.service.metrics import MetricsExporter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replaced:
    """Monitors that another configuration concerns.

    Attributes:
        added: New ones.
        changed: Those that go on, with the settings, bundle or source that they have now.
        removed: Those that are no longer there.
    """

    added: list[Monitor]
    changed: list[Monitor]
    removed: list[Monitor]


class LoadedRuntime:
    """The service's parts, built and not started. Only this class builds them; the loop runs them.

    Args:
        config: A valid configuration.
        clock: The box's clocks.
        reread: Reads the configuration again for a reload; None where it came from no file.
        file: That file.

    Attributes:
        wake: Set by every part that has something for the next cycle of the loop.
        retired: Counts of monitors that a reload has removed.
        working: True while every part is meant to run: from the end of the start to the beginning of the stop.

    Raises:
        ConfigError: A bundle cannot be used or lacks what a monitor asks for, or the state folder cannot be written.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        reread: Callable[[], Config] | None = None,
        file: Path | None = None,
    ) -> None:
        self.clock = clock = clock or SystemClock()
        self.started = clock.monotonic()
        self._file, self.configuration = file, digest_of(file)
        self.wake = threading.Event()
        recovered = recover_installing(config, clock)  # before a bundle that crashes the service is loaded again
        self.bundles = load_bundles(config)
        _log_faults(self.bundles)
        name, state = config.agent.name, config.paths.state
        _make_folder(state)
        self.lock = StateLock(state)
        self.outbox = Outbox(state / OUTBOX_NAME, clock, config.mqtt.outbox_rows)
        self.publisher = Publisher(config.mqtt, name, self.outbox, clock, self.wake)
        self.reporter = Reporter(
            Topics(name), self.outbox, self.publisher, clock, config.web.public_url if config.web else None
        )
        self.gates = TopicGates(self.publisher, clock)
        self.former = FormerStates(self.publisher, Topics(name))
        self.receiver = CommandReceiver(Topics(name), config.commands, self.bundles.scorers, self.outbox, clock)
        self.commands = CommandHandler(self.receiver, self.reporter, clock)
        self.control = ControlServer(state / SOCKET_NAME, self.wake)
        self.chain_tests = ChainTests(state, self.outbox, clock)
        self.flood = FloodGuard()
        self.reloader = Reloader(reread, self.wake)
        self.install_receiver = InstallReceiver(Topics(name), config.install_bundle, self.outbox, clock)
        self.installer = BundleInstaller(config, self.install_receiver, self.reloader, clock, recovered)
        self.recorder = EvidenceRecorder(config.evidence, name, state / FOLDER, clock, self.wake)
        self.history_writer, self.history = _history(config, clock)
        self.recent_lines = RecentLines()
        self.gateway = GatewayProcess(file) if config.web else None
        self.notifier = Notifications(config.notify, self.outbox, clock, state / FOLDER)
        self.metrics = _metrics(config)
        self.sources = {name: self._source(name, self.bundles) for name in config.sources}
        self.monitors = {name: self._monitor(name, self.bundles, self.sources) for name in self.bundles.scorers}
        self.retired = Counts()
        self.working = False
        self.receiver.attach(self.publisher)
        self.install_receiver.attach(self.publisher)
        self.gates.follow(self.monitors.values())
        self.former.follow(self.monitors.values())
        self._check_levels()

    @property
    def config(self) -> Config:
        """The present configuration."""
        return self.bundles.config

    def replace(self, bundles: LoadedBundles) -> Replaced:
        """Run with another configuration from now on.

        A source whose settings are the same keeps its capture process and its ring, and a monitor on it its next
        window. New sources are started and removed ones stopped.
        """
        old, new = self.config, bundles.config
        room = self._ring_seconds(bundles)
        kept = {
            n: s
            for n, s in self.sources.items()
            if old.sources[n] == new.sources.get(n) and s.ring.capacity >= round(room * s.ring.rate)
        }
        sources = {n: kept.get(n) or self._source(n, bundles) for n in new.sources}
        added = {n: self._monitor(n, bundles, sources) for n in bundles.scorers if n not in self.monitors}
        # From here on nothing may fail.
        for name in set(self.sources) - set(kept):
            self.sources[name].stop()
        for name, source in sources.items():
            if name not in kept:
                source.start()
        removed: list[Monitor] = []
        for name in set(self.monitors) - set(new.monitors):
            self.retired = self.retired.plus(self.monitors[name].counts)
            removed.append(self.monitors[name])
        monitors = {name: added.get(name) or self.monitors[name] for name in new.monitors if name in bundles.scorers}
        changed = [monitor for name, monitor in monitors.items() if name not in added]
        for monitor in changed:
            settings = new.monitors[monitor.name]
            monitor.change(settings, sources[settings.source], bundles.scorers[monitor.name])
        self.bundles, self.sources, self.monitors = bundles, sources, monitors
        self.configuration = digest_of(self._file)
        _log_faults(bundles)
        self.receiver.follow(self.publisher, new.commands, bundles.scorers)
        self.gates.follow(monitors.values())
        self.former.follow(monitors.values())
        self._check_levels()
        return Replaced(list(added.values()), changed, removed)

    def out_of_service(self) -> Iterator[tuple[AlarmState, Identity, str]]:
        """Yield state, identity and reason of each monitor whose bundle cannot be used; what is stored stays."""
        now = ClockReading.read(self.clock)
        for name, reason in self.bundles.unusable.items():
            settings = self.config.monitors[name]
            state, _ = restore(self.outbox.load(name), f"{self.config.agent.name}/{name}", "", now)
            identity = Identity(machine="", section=settings.section, domain=settings.domain, bundle="")
            yield state.model_copy(update={"out_of_service": True}), identity, reason

    def _check_levels(self) -> None:
        if self.history_writer:
            self.history_writer.check_levels({name: monitor.promise for name, monitor in self.monitors.items()})

    def _source(self, name: str, bundles: LoadedBundles) -> CaptureSource:
        settings, kept = bundles.config.sources[name], self._ring_seconds(bundles)
        return CaptureSource(name, settings, clock=self.clock, seconds=kept, wake=self.wake)

    def _ring_seconds(self, bundles: LoadedBundles) -> float:
        """Return the sound in seconds that a ring must hold for the longest window and the evidence before it."""
        longest = max((s.bundle.manifest.window_seconds for s in bundles.scorers.values()), default=10.0)
        return ring_seconds(bundles.config.evidence, longest)

    def _monitor(self, name: str, bundles: LoadedBundles, sources: Mapping[str, CaptureSource]) -> Monitor:
        settings, scorer = bundles.config.monitors[name], bundles.scorers[name]
        full_name = f"{bundles.config.agent.name}/{name}"
        stored, now = self.outbox.load(name), ClockReading.read(self.clock)
        state, complaint = restore(
            stored, full_name, scorer.bundle.digest, now, evidence=bundles.config.evidence.enabled
        )
        if complaint:
            log.warning("%s", complaint)
        return Monitor(name, settings, sources[settings.source], scorer, state)


def _metrics(config: Config) -> MetricsExporter | None:
    if config.metrics is None:
        return None
    from asd_agent.service.metrics import MetricsExporter  # an HTTP server, imported where one is wanted

    return MetricsExporter(config.metrics)


def _history(config: Config, clock: Clock) -> tuple[HistoryWriter | None, HistoryRecorder | None]:
    settings = config.history
    if not settings.enabled:
        return None, None
    limits = HistoryLimits(
        settings.window_days, settings.minute_days, round(settings.max_megabytes * 1e6), settings.drift
    )
    writer = HistoryWriter(config.paths.state / HISTORY_NAME, limits, clock)
    return writer, HistoryRecorder(writer)


def _log_faults(bundles: LoadedBundles) -> None:
    for part, fault in bundles.faults.items():
        log.warning("%s: %s", part, fault)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"paths.state: {path} cannot be made ({error.strerror})", "Name a folder to write to."
        ) from error
