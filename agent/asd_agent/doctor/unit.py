"""Check of the systemd unit: it runs, is watched, and is passed the credentials that it needs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.config.base import Secret
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.config.model import Config, MqttSettings
from asd_agent.errors import EXIT_CONFIG
from asd_agent.small_files import read_small

NAME = "asd-agent.service"
_PROPERTIES = (
    "LoadState ActiveState SubState Result ExecMainStatus NRestarts User SupplementaryGroups WatchdogUSec "
    "LoadCredential StatusText MainPID"
)


@dataclass(frozen=True)
class Unit:
    """State of the service by the service manager.

    Attributes:
        values: Properties by name, as `systemctl show` prints them.
        credentials: Files that are passed as credentials, by name.
    """

    values: dict[str, str]
    credentials: dict[str, Path] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """True where there is such a unit."""
        return self.values.get("LoadState") == "loaded"

    @property
    def running(self) -> bool:
        """True while it runs or starts."""
        return self.values.get("ActiveState") in {"active", "activating", "reloading"}

    @property
    def groups(self) -> list[str]:
        """Groups that the service gets beyond its user's own."""
        return self.values.get("SupplementaryGroups", "").split()


def show(name: str = NAME) -> str:
    """Return the output of `systemctl show`; empty where there is no systemd."""
    command = ["systemctl", "show", name, f"--property={','.join(_PROPERTIES.split())}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def read_unit(text: str) -> Unit | None:
    """Parse the output of `systemctl show`; None where it is empty."""
    values: dict[str, str] = {}
    credentials: dict[str, Path] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "LoadCredential":
            # One line of `name:path`, or one line for each.
            credentials |= {n: Path(p) for n, _, p in (entry.partition(":") for entry in value.split())}
        else:
            values[key] = value
    return Unit(values, credentials) if values else None


def with_credential(mqtt: MqttSettings, unit: Unit | None) -> MqttSettings:
    """Return the broker's settings with a credential replaced by the file from which the unit passes it."""
    name = mqtt.password.credential if mqtt.password else None
    path = unit.credentials.get(name) if unit and name else None
    return mqtt.model_copy(update={"password": Secret(file=path)}) if path else mqtt


def check_unit(unit: Unit | None, config: Config) -> list[Finding]:
    """Check the unit.

    Args:
        unit: The unit; None where there is no systemd.
        config: The configuration, which names the credentials.
    """
    if unit is None:
        return [warning("service", "no systemd answers here; nothing restarts the agent", "See docs/install.md")]
    if not unit.installed:
        return [warning("service", f"{NAME} is not installed; nothing starts the agent", "Run `make install`")]
    return [*_state(unit), *_watchdog(unit), *_credential(unit, config.mqtt.password)]


def _state(unit: Unit) -> list[Finding]:
    values = unit.values
    if values.get("ExecMainStatus") == str(EXIT_CONFIG) and not unit.running:
        text = f"it refused its configuration (exit {EXIT_CONFIG}) and was not started again"
        return [
            problem(
                "service", text, "Run `asd-agent check`, repair what it reports, then `systemctl restart asd-agent`"
            )
        ]
    if not unit.running:
        text = f"it does not run ({values.get('ActiveState')}, {values.get('Result')})"
        return [problem("service", text, "`systemctl enable --now asd-agent`; `journalctl -u asd-agent` shows why not")]
    restarts = int(values.get("NRestarts") or 0)
    if restarts:
        text = f"it runs, after {restarts} restarts"
        return [warning("service", text, "`journalctl -u asd-agent -p warning` shows why")]
    return [ok("service", f"it runs: {values.get('StatusText') or values.get('SubState')}")]


def _watchdog(unit: Unit) -> list[Finding]:
    period = unit.values.get("WatchdogUSec", "")
    if period in {"", "0", "infinity"}:
        return [warning("watchdog", "nothing restarts the service when it hangs", "Set `WatchdogSec=60` in the unit")]
    return [ok("watchdog", f"a service that hangs is restarted after {period}")]


def _credential(unit: Unit, secret: Secret | None) -> list[Finding]:
    if secret is None or secret.credential is None:
        return []
    name = secret.credential
    path = unit.credentials.get(name)
    if path is None:
        remedy = f"`systemctl edit asd-agent`: [Service] LoadCredential={name}:/etc/asd-agent/{name}"
        return [problem("mqtt.password", f"the unit does not pass credential {name!r}", remedy)]
    try:
        empty = not read_small(path).strip()
    except PermissionError:
        return [ok("mqtt.password", f"credential {name!r} is passed from {path}")]
    except OSError as error:
        text = f"credential {name!r} is passed from {path}, which cannot be read ({error.strerror})"
        return [problem("mqtt.password", text, "Write the password alone into that file")]
    if empty:
        return [problem("mqtt.password", f"{path} is empty", "Write the password alone into that file")]
    return [ok("mqtt.password", f"credential {name!r} is passed from {path}")]
