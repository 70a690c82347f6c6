"""Inventory of the box for the health report: versions, bundles, configuration."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path

from asd_agent import __version__
from asd_agent.mqtt.health import BundleInUse, Inventory
from asd_agent.service.installing import InstallProgress, users_of
from asd_agent.service.loaded_bundles import LoadedBundles
from asd_agent.small_files import read_small

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


@cache
def versions() -> dict[str, str]:
    """Return versions of the agent and of what it runs on, by name."""
    found = {"asd-agent": __version__, "python": platform.python_version(), "os": _operating_system()}
    for name in _RUNTIMES:
        try:
            found["onnxruntime"] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def inventory_of(bundles: LoadedBundles, configuration: str, installs: Mapping[str, InstallProgress]) -> Inventory:
    """Return the inventory.

    Args:
        bundles: The configuration in use with its bundles.
        configuration: Digest of its file.
        installs: Installations by command, by the name that monitors refer to.
    """
    progress = {monitor: found for name, found in installs.items() for monitor in users_of(bundles.config, name)}
    return Inventory(
        machine=machine_id(),
        model=_model(),
        configuration=configuration,
        bundles={
            name: BundleInUse(
                name=scorer.bundle.manifest.name,
                digest=scorer.bundle.digest,
                **asdict(progress.get(name, InstallProgress())),
            )
            for name, scorer in bundles.scorers.items()
        },
        installs_bundles=bundles.config.install_bundle is not None,
    )


def digest_of(file: Path | None) -> str:
    """Return the SHA-256 of a configuration file; empty where there is none or it cannot be read."""
    try:
        return hashlib.sha256(read_small(file)).hexdigest() if file is not None else ""
    except OSError:
        return ""


@cache
def machine_id(root: Path = Path("/")) -> str:
    """Return the first digits of a hash of the box's id, which systemd asks not to publish itself."""
    try:
        text = (root / "etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return hashlib.sha256(f"asd-agent {text}".encode()).hexdigest()[:12] if text else ""


@cache
def _model(root: Path = Path("/")) -> str:
    try:
        text = (root / "proc/device-tree/model").read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        text = ""
    return text[:100] or platform.machine()


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())[:100]
    except OSError:
        return f"{platform.system()} {platform.release()}"
