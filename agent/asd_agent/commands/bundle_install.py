"""asd-agent bundle install, activate, rollback, remove, list: the bundles of this box, and those in use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.bundle import Bundle
from asd_agent.bundle.registry import BundleRegistry, InstalledBundle
from asd_agent.clock import SystemClock, iso_utc
from asd_agent.commands.console import print_json, print_table, warn
from asd_agent.config.file import load_config
from asd_agent.config.model import Config
from asd_agent.control_client import SOCKET_NAME, ask
from asd_agent.inference.isolated_check import check_isolated

DEFAULT = Path("/etc/asd-agent/agent.yaml")
_CPU = ("CPUExecutionProvider",)

_Change = Callable[[BundleRegistry], InstalledBundle]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help=f"Configuration: folder and providers. Default: {DEFAULT}."),
]
_Bundles = Annotated[Path | None, typer.Option("--bundles", help="Folder of the bundles, in place of a configuration.")]
_Reload = Annotated[bool, typer.Option("--reload", help="Make the running service use it at once.")]
_Name = Annotated[str, typer.Argument(help="Name by which monitors refer to it.")]
_Digest = Annotated[str, typer.Argument(help="First digits of its digest, as `bundle list` shows them.")]


@dataclass(frozen=True)
class _Installation:
    """Folder of the bundles of this box, and the configuration whose monitors use them."""

    folder: Path
    config: Config | None

    @classmethod
    def find(cls, config: Path | None, bundles: Path | None) -> _Installation:
        settings = None if bundles is not None and config is None else load_config(config or DEFAULT)
        return cls(bundles or settings.paths.bundles if settings else bundles or Path(), settings)

    def registry(self) -> BundleRegistry:
        return BundleRegistry(self.folder, self._check, SystemClock().utc, step=_report_step)

    def monitors(self, stored: InstalledBundle) -> list[str]:
        """Return the monitors that use a bundle."""
        if self.config is None:
            return []
        place = (self.folder / stored.name) if stored.active else stored.path
        named = {name: self.config.bundle_path(m.bundle) for name, m in self.config.monitors.items()}
        return [name for name, path in named.items() if path in (place, stored.path)]

    def _check(self, bundle: Bundle) -> None:
        check = check_isolated(bundle, self.config.providers if self.config else _CPU)
        for complaint in check.complaints:
            warn(f"{check.provider} is in use: {complaint}")


def register(app: typer.Typer) -> None:
    """Add these commands to `asd-agent bundle`."""
    for command in (install, activate, rollback, remove):
        app.command()(command)
    app.command("list")(list_)


def install(
    source: Annotated[Path, typer.Argument(help="The bundle's folder, or one .tar of it.", metavar="BUNDLE")],
    config: _Config = None,
    bundles: _Bundles = None,
    name: Annotated[str | None, typer.Option(help="Name by which monitors refer to it; by default its own.")] = None,
    keep: Annotated[bool, typer.Option("--no-activate", help="Install it, but do not put it to use.")] = False,
    reload: _Reload = False,
    json: _Json = False,
) -> None:
    """Copy a bundle here, check it, score its golden windows with the configured providers, and put it to use.

    Nothing changes where any step fails.

    Example: asd-agent bundle install fan.tar -c agent.yaml --reload
    """
    place = _Installation.find(config, bundles)
    _done(place, lambda registry: registry.install(source, name, activate=not keep), reload=reload, json=json)


def activate(
    name: _Name,
    digest: _Digest,
    config: _Config = None,
    bundles: _Bundles = None,
    reload: _Reload = False,
    json: _Json = False,
) -> None:
    """Put an installed bundle to use, after the same checks.

    Example: asd-agent bundle activate fan 3f9a -c agent.yaml --reload
    """
    _done(
        _Installation.find(config, bundles), lambda registry: registry.activate(name, digest), reload=reload, json=json
    )


def rollback(
    name: _Name, config: _Config = None, bundles: _Bundles = None, reload: _Reload = False, json: _Json = False
) -> None:
    """Put the bundle to use again that was in use before the present one.

    Example: asd-agent bundle rollback fan -c agent.yaml --reload
    """
    _done(_Installation.find(config, bundles), lambda registry: registry.rollback(name), reload=reload, json=json)


def remove(name: _Name, digest: _Digest, config: _Config = None, bundles: _Bundles = None) -> None:
    """Delete an installed bundle that is not in use.

    Example: asd-agent bundle remove fan 3f9a -c agent.yaml
    """
    gone = _Installation.find(config, bundles).registry().remove(name, digest)
    sys.stdout.write(f"{gone} is deleted\n")


def list_(config: _Config = None, bundles: _Bundles = None, json: _Json = False) -> None:
    """List the installed bundles, which of them are in use since when, and the monitors that use them.

    Example: asd-agent bundle list -c agent.yaml
    """
    place = _Installation.find(config, bundles)
    rows = [_row(place, stored) for stored in place.registry().listed()]
    if json:
        print_json({"folder": str(place.folder), "bundles": rows})
        return
    if not rows:
        sys.stdout.write(f"{place.folder}: nothing is installed\n")
        return
    print_table(
        ["name", "digest", "in_use", "installed", "activated", "monitors"],
        [{**row, "in_use": "yes" if row["active"] else "", "monitors": ", ".join(row["monitors"])} for row in rows],
        text=("monitors",),
    )


def _done(
    place: _Installation, change: Callable[[BundleRegistry], InstalledBundle], *, reload: bool, json: bool
) -> None:
    stored = change(place.registry())
    row = _row(place, stored)
    socket = place.config.paths.state / SOCKET_NAME if place.config else None
    runs = socket is not None and socket.exists()
    reloaded = ask(socket, {"command": "reload"})["text"] if reload and socket is not None else None
    if json:
        print_json({**row, "reloaded": reloaded})
        return
    use = "is in use" if stored.active else "is installed and not in use"
    sys.stdout.write(f"bundle {stored.name} {stored.short} {use}\n")
    if reloaded is not None:
        sys.stdout.write(f"the service reloaded: {reloaded}\n")
    elif stored.active and runs:
        sys.stdout.write("the running service uses it after `systemctl reload asd-agent`, or with --reload here\n")


def _report_step(step: str) -> None:
    sys.stderr.write(f"{step} …\n")


def _row(place: _Installation, stored: InstalledBundle) -> dict[str, Any]:
    return {
        "name": stored.name,
        "digest": stored.short,
        "active": stored.active,
        "installed": iso_utc(stored.installed),
        "activated": stored.activated,
        "path": str(stored.path),
        "monitors": place.monitors(stored),
    }
