"""Preflight of files: secrets, certificates, recordings, the state folder; and of the connection to the broker."""

from __future__ import annotations

import importlib.util
import os
import shutil
from functools import partial
from pathlib import Path

from asd_agent.clock import iso_utc
from asd_agent.config.finding import Finding, problem, warning
from asd_agent.config.model import Config, MqttSettings, Tls
from asd_agent.config.preflight.certificates import validities
from asd_agent.config.preflight.guard import guarded
from asd_agent.config.preflight.notify import preflight_notify
from asd_agent.config.preflight.secrets import preflight_secret
from asd_agent.config.sources import SourceKind
from asd_agent.mqtt.connection import tls_context

SOON_SECONDS = 14 * 86_400
"""A certificate that ends within this gives a warning: time enough to renew it."""
_LOCAL = ("localhost", "127.", "::1")
_TLS_PORT = 8883


def preflight_files(config: Config, utc: float) -> list[Finding]:
    """Check every file.

    Args:
        config: The configuration.
        utc: Time in seconds since 1970 by which certificates are judged.
    """
    found = [*_broker(config.mqtt), *guarded("paths.state", lambda: _state(config))]
    password, tls = config.mqtt.password, config.mqtt.tls
    if password is not None:
        found += guarded("mqtt.password", lambda: preflight_secret("mqtt.password", password))
    if tls is not None:
        found += guarded("mqtt.tls", lambda: _tls(tls, utc))
    for name, target in config.notify.items():
        found += guarded(f"notify.{name}", partial(preflight_notify, name, target))
    for name, source in config.sources.items():
        found += guarded(f"sources.{name}.path", partial(_recordings, name, source))
        found += guarded(f"sources.{name}", partial(_needs, name, source))
    if config.metrics is not None and importlib.util.find_spec("prometheus_client") is None:
        text = "the library prometheus-client is not installed"
        found.append(
            problem("metrics", text, "Run `make upgrade EXTRAS=metrics,calibrate` in its source, or remove 'metrics'")
        )
    if config.metrics is not None and not config.metrics.address.startswith(_LOCAL):
        text = f"anybody who reaches {config.metrics.address} may read it; it has no password"
        found.append(warning("metrics.address", text, "Use 127.0.0.1, or a network that you trust"))
    return found


def _recordings(name: str, source: SourceKind) -> list[Finding]:
    missing = [path for path in source.files if not path.exists()]
    remedy = "Name a recording, or a folder of them"
    return [problem(f"sources.{name}.path", f"{path}: no such file or folder", remedy) for path in missing]


def _needs(name: str, source: SourceKind) -> list[Finding]:
    """Check the programs and secrets of a source."""
    found = []
    for program in source.programs:
        if shutil.which(program) is None:
            remedy = f"Install it (`apt-get install {program}` where Debian has it)"
            found.append(problem(f"sources.{name}", f"there is no program {program!r}", remedy))
    for key, secret in source.secrets.items():
        found += preflight_secret(f"sources.{name}.{key}", secret, "URL")
    return found


def _broker(mqtt: MqttSettings) -> list[Finding]:
    found = []
    if mqtt.password is not None and mqtt.tls is None and not mqtt.host.startswith(_LOCAL):
        text = "the password is sent over the network in plain text"
        found.append(warning("mqtt.password", text, "Let the broker offer TLS (usually port 8883) and set 'mqtt.tls'"))
    if mqtt.tls is None and mqtt.port == _TLS_PORT:
        text = "port 8883 is for TLS, and there is no 'mqtt.tls'"
        found.append(warning("mqtt.port", text, "Write `tls: {}` for the system's authorities, or `tls: {ca: …}`"))
    if mqtt.tls is not None and mqtt.port == 1883:
        text = "port 1883 is for plain MQTT, and there is 'mqtt.tls'"
        found.append(warning("mqtt.port", text, "TLS is usually on port 8883"))
    return found


def _tls(tls: Tls, utc: float) -> list[Finding]:
    try:
        tls_context(tls)
    except OSError as error:
        key = "mqtt.tls.ca" if "tls.ca" in str(error) else "mqtt.tls.certificate"
        return [problem(key, str(error), "Name a PEM file that the agent's user may read")]
    found = []
    for key, path in (("mqtt.tls.ca", tls.ca), ("mqtt.tls.certificate", tls.certificate)):
        if path is not None:
            found += _dates(key, path, utc)
    return found


def _dates(key: str, path: Path, utc: float) -> list[Finding]:
    try:
        held = validities(path)
    except (OSError, ValueError) as error:
        return [warning(key, f"{path}: its dates cannot be read ({error})", "Look with `openssl x509 -dates`")]
    # Of several authorities one that still holds may be the right one.
    ends, begins = max(v.ends for v in held), min(v.begins for v in held)
    if ends <= utc:
        return [problem(key, f"{path} expired at {iso_utc(ends)}", "Get a new certificate and put it there")]
    if begins > utc:
        text = f"{path} is valid from {iso_utc(begins)}, by this box's clock not yet"
        return [problem(key, text, "Set the clock (`timedatectl`), or get another certificate")]
    if ends - utc < SOON_SECONDS:
        return [warning(key, f"{path} expires at {iso_utc(ends)}", "Get a new certificate soon and put it there")]
    return []


def _state(config: Config) -> list[Finding]:
    path = config.paths.state
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return [problem("paths.state", f"{place} is no folder", "Name a folder to write to")]
    if not os.access(place, os.W_OK | os.X_OK) or (place == path and os.statvfs(place).f_flag & os.ST_RDONLY):
        text = f"{path} cannot be written by user {os.geteuid()}" if place == path else f"{path} cannot be created"
        return [problem("paths.state", text, "Name a folder that the agent's user may write to")]
    return []
