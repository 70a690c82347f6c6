"""One run of the doctor: its checks, their order, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.bundle import Bundle
from asd_agent.clock import Clock, SystemClock
from asd_agent.config.finding import Finding, ok
from asd_agent.config.model import Config, MqttSettings
from asd_agent.config.preflight import preflight_settings
from asd_agent.config.preflight.bundles import preflight_bundles
from asd_agent.doctor.box import check_clock, check_disk, check_heat, check_memory
from asd_agent.doctor.broker import check_broker
from asd_agent.doctor.cards import capture_devices
from asd_agent.doctor.checks import Check
from asd_agent.doctor.outbox import check_outbox
from asd_agent.doctor.permissions import check_permissions
from asd_agent.doctor.running import ask_health, judge_health
from asd_agent.doctor.software import check_runtime
from asd_agent.doctor.sound import LISTEN_SECONDS, OPEN_SECONDS, check_sources
from asd_agent.doctor.unit import Unit, check_unit, read_unit, show, with_credential
from asd_agent.doctor.user import BoxUser, find_user

_MEGA = 1_000_000


@dataclass(frozen=True)
class Surroundings:
    """Parts of the box that the doctor reads; tests replace them.

    Attributes:
        root: Folder that holds `proc`, `sys` and `dev`.
        clock: The box's clocks.
        show: Returns what the service manager prints of the unit.
        packages: Folders of Python packages; None for this Python's own.
        user: Name of the service's user; None takes it from the unit.
    """

    root: Path = Path("/")
    clock: Clock = field(default_factory=SystemClock)
    show: Callable[[], str] = show
    packages: tuple[str, ...] | None = None
    user: str | None = None


class DoctorRun:
    """One run of the doctor.

    Args:
        config: The configuration.
        file: File that it was read from.
        around: The box.
    """

    def __init__(self, config: Config, file: Path, around: Surroundings | None = None) -> None:
        self._config, self._file, self._around = config, file, around or Surroundings()
        self.unit: Unit | None = read_unit(self._around.show())
        self._bundles: dict[Path, Bundle] = {}
        self._health = ask_health(config.paths.state)

    @property
    def user(self) -> BoxUser:
        """User that the service runs as."""
        groups = self.unit.groups if self.unit else []
        return find_user(self._around.user or (self.unit.values.get("User") if self.unit else None), groups)

    def checks(self) -> list[Check]:
        """Return the checks in turn."""
        config, around = self._config, self._around
        listening_seconds = len(config.sources) * (LISTEN_SECONDS + OPEN_SECONDS + 5.0)
        free = round(config.evidence.free_megabytes * _MEGA)
        return [
            Check("bundles", self._check_bundles, 300.0),
            Check("configuration", self._check_settings),
            Check("software", self._check_software),
            Check("service", lambda: check_unit(self.unit, config)),
            Check("permissions", lambda: check_permissions(config, self._file, self.user)),
            Check("disk", lambda: check_disk(config.paths.state, free)),
            Check("outbox", lambda: check_outbox(config.paths.state)),
            Check("clock", lambda: check_clock(around.clock)),
            Check("heat", lambda: [*check_heat(around.root), *check_memory(around.root)]),
            Check("sound", self._check_sources, listening_seconds),
            Check("broker", self._check_broker, 90.0),
        ]

    def _check_bundles(self) -> list[Finding]:
        self._bundles, found = preflight_bundles(self._config)
        return found

    def _check_settings(self) -> list[Finding]:
        # The unit passes a credential, and its check covers that.
        plain = self._config.model_copy(update={"mqtt": self._mqtt()})
        found = [f for f in preflight_settings(plain, self._bundles) if f.level != "ok"]
        return found or [ok("agent.yaml", "the agent can start with it")]

    def _check_software(self) -> list[Finding]:
        members = [m for b in self._bundles.values() for m in b.manifest.members]
        needed = any(m.graph is not None for m in members) or not self._bundles
        return check_runtime(self._config.providers, needed=needed, path=self._around.packages)

    def _check_sources(self) -> list[Finding]:
        if self._health is not None:
            return judge_health(self._health)
        return check_sources(self._config, self._bundles, capture_devices(self.user, self._around.root))

    def _check_broker(self) -> list[Finding]:
        return check_broker(self._mqtt(), self._config.agent.name, running=self._health is not None)

    def _mqtt(self) -> MqttSettings:
        return with_credential(self._config.mqtt, self.unit)
