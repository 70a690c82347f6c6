"""The bundle that was installed by a command and is being proved: kept on disk, so that a crash ends in the former one.

A bundle that crashes the service would be started again and again; after some starts unproved it is replaced
before it is loaded.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from asd_agent.alarm import ScoredWindow
from asd_agent.bundle import Bundle
from asd_agent.bundle.registry import BundleRegistry
from asd_agent.clock import Clock
from asd_agent.config.model import Config
from asd_agent.errors import AsdError, BundleError
from asd_agent.inference.isolated_check import check_isolated
from asd_agent.monitor import Monitor
from asd_agent.mqtt.payloads import InstallBundle
from asd_agent.whole_files import write_whole

FILE_NAME = "installing.json"
"""Below `paths.state`."""
MOST_STARTS = 3
"""Starts of the service unproved; one more and the former bundle returns."""


@dataclass(frozen=True)
class Installing:
    """A bundle in use that is not proved yet.

    Attributes:
        command: The command, as JSON.
        name: Name by which monitors refer to it.
        short: First digits of its digest.
        starts: Starts of the service since its activation.
    """

    command: str
    name: str
    short: str
    starts: int = 0

    @property
    def request(self) -> InstallBundle:
        """The command."""
        return InstallBundle.model_validate_json(self.command)

    def write(self, state: Path) -> None:
        """Store it.

        Raises:
            OSError: The disk refuses.
        """
        write_whole(state / FILE_NAME, json.dumps(asdict(self)).encode())


@dataclass(frozen=True)
class InstallProgress:
    """Installation by command of one bundle's name, for the health report.

    Attributes:
        trial: The bundle in use is being proved.
        returned: First digits of the digest of the last one that did not prove itself; None where there was none since
            the start, or one after it was proved.
        reason: Reason why the former one returned.
    """

    trial: bool = False
    returned: str | None = None
    reason: str = ""


def read_installing(state: Path) -> Installing | None:
    """Return the bundle that is being proved; None where there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = Installing(**json.loads((state / FILE_NAME).read_text(encoding="utf-8")[:65_536]))
        _ = found.request
        return found
    return None


def forget_installing(state: Path) -> None:
    """Remove the record: the bundle is proved, or no longer in use."""
    with contextlib.suppress(OSError):
        (state / FILE_NAME).unlink(missing_ok=True)


def recover_installing(config: Config, clock: Clock) -> tuple[Installing, str] | None:
    """Return the bundle that is being proved over a restart, and why it was given up; empty while it is not.

    Called before bundles are loaded.
    """
    state = config.paths.state
    found = read_installing(state)
    if found is None:
        return None
    found = replace(found, starts=found.starts + 1)
    if found.starts <= MOST_STARTS:
        with contextlib.suppress(OSError):
            found.write(state)
        return found, ""
    text = f"the service was started {found.starts} times unproved of it"
    try:
        registry_of(config, clock).rollback(found.name)
    except AsdError as error:
        text += f"; and its former one cannot be used: {error}"
    forget_installing(state)
    return found, text


def registry_of(config: Config, clock: Clock) -> BundleRegistry:
    """Return the registry of the configured bundles; a golden check runs in a process of its own."""
    return BundleRegistry(config.paths.bundles, lambda b: check_isolated(b, config.providers), clock.utc)


def users_of(config: Config, name: str) -> list[str]:
    """Return the monitors that refer to a bundle's name."""
    place = config.paths.bundles / name
    return [monitor for monitor, m in config.monitors.items() if config.bundle_path(m.bundle) == place]


def check_configuration(config: Config, bundle: Bundle, name: str) -> list[str]:
    """Check that a bundle has all that the monitors of a name ask for; return those monitors.

    Raises:
        BundleError: No monitor uses that name, or the bundle lacks a section or domain.
    """
    users = users_of(config, name)
    if not users:
        raise BundleError(f"no monitor uses a bundle named {name!r}")
    for monitor in users:
        settings = config.monitors[monitor]
        try:
            bundle.domains(settings.section, settings.domain)
        except AsdError as error:
            raise BundleError(f"monitor {monitor}: {error.what}", error.remedy) from error
    return users


class BundleTrial:
    """The first windows that a new bundle judges, for each of its monitors.

    Args:
        monitors: The monitors.
        windows: Windows that each must score.
        ends: Monotonic time at which it is over.
    """

    def __init__(self, monitors: Sequence[Monitor], windows: int, ends: float) -> None:
        self._windows, self._ends = windows, ends
        # A standing alarm keeps its scores high, whichever bundle judges.
        self._standing = {m.name for m in monitors if m.state.phase != "normal"}
        self._over: dict[str, list[bool]] = {m.name: [] for m in monitors}
        self._skipped = {m.name: m.counts.skipped for m in monitors}

    def record(self, monitor: str, window: ScoredWindow) -> None:
        """Record a judged window; only scored ones count."""
        seen = self._over.get(monitor)
        if seen is not None and len(seen) < self._windows and window.score is not None:
            over = window.threshold is not None and window.score > window.threshold
            seen.append(over and monitor not in self._standing)

    def verdict(self, monitors: Collection[Monitor], now: float) -> str | None:
        """Return the reason why the bundle failed, empty where it is proved, None while neither is known."""
        for name, over in self._over.items():
            if len(over) == self._windows and sum(over) * 2 > len(over) > 0:
                return f"{sum(over)} of the first {len(over)} windows of monitor {name} exceed the raise level"
        for monitor in monitors:
            scored = len(self._over.get(monitor.name, ()))
            skipped = monitor.counts.skipped - self._skipped.get(monitor.name, monitor.counts.skipped)
            if skipped > max(self._windows, 3) and skipped > scored:
                return f"the box is too slow for it: {skipped} windows of monitor {monitor.name} were skipped"
        if all(len(over) == self._windows for over in self._over.values()):
            return ""
        if now < self._ends:
            return None
        few = {name: len(over) for name, over in self._over.items() if len(over) < self._windows}
        name, count = next(iter(few.items()))
        return f"only {count} of {self._windows} windows of monitor {name} could be scored in time"
