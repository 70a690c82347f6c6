"""Check of permissions: the service's user may read and write the paths that the configuration names."""

from __future__ import annotations

from pathlib import Path

from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.config.model import Config
from asd_agent.doctor.user import BoxUser

_READ, _WRITE = 4, 7


def check_permissions(config: Config, file: Path, user: BoxUser) -> list[Finding]:
    """Check every path of the configuration.

    Args:
        config: The configuration.
        file: agent.yaml itself.
        user: The service's user.
    """
    mqtt = config.mqtt
    wanted: list[tuple[str, Path | None, int]] = [
        ("agent.yaml", file, _READ),
        ("mqtt.password", mqtt.password.file if mqtt.password else None, _READ),
        ("mqtt.tls.ca", mqtt.tls.ca if mqtt.tls else None, _READ),
        ("mqtt.tls.certificate", mqtt.tls.certificate if mqtt.tls else None, _READ),
        ("mqtt.tls.key", mqtt.tls.key if mqtt.tls else None, _READ),
        ("paths.state", config.paths.state, _WRITE),
    ]
    wanted += [(f"sources.{n}.path", path, _READ) for n, s in config.sources.items() for path in s.files]
    for name, monitor in config.monitors.items():
        wanted.append((f"monitors.{name}.bundle", config.bundle_path(monitor.bundle) / "manifest.json", _READ))
    found = [f for key, path, want in wanted if path is not None for f in _judge(key, path, want, user)]
    return found or [ok("permissions", f"user {user.name} may read and write what the configuration names")]


def _judge(key: str, path: Path, wanted: int, user: BoxUser) -> list[Finding]:
    try:
        place = user.refused(path, wanted)
    except FileNotFoundError:
        if key == "paths.state":
            text = f"{path} is not there yet"
            return [warning(key, text, "systemd creates it (StateDirectory=); else create it for the agent's user")]
        return []  # reported by the preflight of the configuration
    except OSError as error:
        return [warning(key, f"{path} cannot be checked ({error.strerror})", "Run the doctor with sudo")]
    if place is None:
        return []
    if wanted == _WRITE:
        text, remedy = f"user {user.name} may not write to {place}", f"Run `chown -R {user.name}: {place}`"
    else:
        text, remedy = (
            f"user {user.name} may not read {place}",
            f"Run `chgrp {user.name} {place}` and `chmod g+rX {place}`",
        )
    return [problem(key, text, remedy)]
