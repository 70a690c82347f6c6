"""asd-agent machines: the machines beside agent.yaml that the page adds."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from asd_agent.commands.console import print_json, print_table, warn
from asd_agent.commands.source_options import microphone
from asd_agent.config.added import FILE_NAME, FORMER_NAME, AddedMachines, staged
from asd_agent.config.base import NAME
from asd_agent.config.file import load_added, load_config
from asd_agent.config.model import Config
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.errors import AsdError, ConfigError, UsageError

app = typer.Typer(
    help="Machines beside agent.yaml, which the page adds: add, remove, undo, list.", no_args_is_help=True
)
_Config = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the monitor.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")


@dataclass(frozen=True)
class _Box:
    """A configuration with the machines that the page added."""

    path: Path
    config: Config

    @classmethod
    def read(cls, path: Path) -> _Box:
        return cls(path, load_config(path))

    @property
    def file(self) -> Path:
        return self.config.paths.state / FILE_NAME

    @property
    def former(self) -> Path:
        return self.config.paths.state / FORMER_NAME

    def change(self, machines: AddedMachines, check: Callable[[Config], None] = lambda _: None) -> str:
        """Put other machines in place, whole or not at all, and let the running service take them up.

        Args:
            machines: All that are to be there.
            check: Called with the whole configuration before it is in place; raises where it cannot work.

        Returns:
            The service's report; empty where none runs.

        Raises:
            AsdError: The change is refused, by the check or by the service; the former machines are in place.
        """
        before = load_added(self.file)
        try:
            with staged(self.file, machines) as stage:
                check(load_config(self.path, stage))
                with staged(self.former, before):
                    pass
        except OSError as error:
            raise AsdError(
                f"{error.filename or self.file} cannot be written ({error.strerror})",
                "Run this as the service's user or with sudo, and see `asd-agent doctor` for the disk.",
            ) from error
        place = self.config.paths.state / SOCKET_NAME
        if not _is_served(place):
            return ""
        try:
            return str(ask(place, {"command": "reload"})["text"])
        except ControlError:
            with staged(self.file, before):
                pass
            raise


@app.command()
def add(
    name: _Name,
    bundle: Annotated[Path, typer.Option(help="A bundle's folder or .tar: it is installed by the monitor's name.")],
    device: Annotated[str | None, typer.Option(help="A microphone, by a name that `devices` lists.")] = None,
    source: Annotated[str | None, typer.Option(help="A source that the configuration has.")] = None,
    channel: Annotated[int, typer.Option(help="Channel of the source, counted from 0.", min=0)] = 0,
    section: Annotated[str, typer.Option(help="Section, two digits: which unit of this type.")] = "00",
    config: _Config = DEFAULT,
    json: _Json = False,
) -> None:
    """Install a bundle and watch a machine with it; a running service begins at once.

    Nothing is watched otherwise than before where any step fails.

    Example: asd-agent machines add press-3 --bundle exported_models/press --device hw:CARD=Device
    """
    box = _Box.read(config)
    if not NAME.match(name):
        raise UsageError(f"{name!r} may hold only letters, digits, '_' and '-'")
    if name in box.config.monitors:
        raise UsageError(f"there is a monitor {name!r} already", "Give another name.")
    if (device is None) == (source is None):
        raise UsageError("no microphone is given, or two", "Give one of --device and --source.")
    machines = load_added(box.file).model_dump(exclude_unset=True)
    machines = {"sources": machines.get("sources", {}), "monitors": machines.get("monitors", {})}
    if source is None:
        assert device is not None
        source = _source_of(box.config, device, channel)
    if source is None and device is not None:
        source = _free_name(f"{name}-mic", box.config)
        machines["sources"][source] = microphone(device, channel).model_dump(exclude_unset=True)
    machines["monitors"][name] = {"source": source, "channel": channel, "bundle": name, "section": section}
    try:
        checked = AddedMachines.model_validate(machines)
    except ValidationError as error:
        raise UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error
    _install(box.config, bundle, name)
    text = box.change(checked, lambda whole: _preflight(whole, name))
    if json:
        print_json({"schema": 1, "monitor": name, "source": source, "bundle": name, "reloaded": text})
        return
    sys.stdout.write(f"monitor {name} is in {box.file}\n{_taken_up(text)}\n")


@app.command()
def remove(name: _Name, config: _Config = DEFAULT, json: _Json = False) -> None:
    """Take a machine out that was added, and its microphone where no other uses it. Its bundle and alarms stay.

    Example: asd-agent machines remove press-3
    """
    box = _Box.read(config)
    before = load_added(box.file)
    if name not in before.monitors:
        where = f"It is in {config}; take it out there." if name in box.config.monitors else "See `machines list`."
        raise UsageError(f"{name!r} is no machine that was added", where)
    monitors = {n: m for n, m in before.monitors.items() if n != name}
    used = {m.source for n, m in box.config.monitors.items() if n != name}
    sources = {n: s for n, s in before.sources.items() if n in used}
    _report(box.change(AddedMachines(sources=sources, monitors=monitors)), f"monitor {name} is taken out", json=json)


@app.command()
def undo(config: _Config = DEFAULT, json: _Json = False) -> None:
    """Take the last change of the added machines back; a second time does it again.

    Example: asd-agent machines undo
    """
    box = _Box.read(config)
    if not box.former.exists():
        raise UsageError("no machine was added or taken out yet")
    _report(box.change(load_added(box.former)), "the last change is taken back", json=json)


@app.command("list")
def list_(config: _Config = DEFAULT, json: _Json = False) -> None:
    """List the machines that were added beside agent.yaml.

    Example: asd-agent machines list
    """
    box = _Box.read(config)
    machines = load_added(box.file)
    rows: list[dict[str, Any]] = [
        {"monitor": name, "source": m.source, "channel": m.channel, "bundle": m.bundle, "section": m.section}
        for name, m in machines.monitors.items()
    ]
    if json:
        print_json({"schema": 1, "file": str(box.file), "machines": rows})
    elif rows:
        print_table(["monitor", "source", "channel", "bundle", "section"], rows)
    else:
        sys.stdout.write(f"{box.file}: no machine was added\n")


def _is_served(path: Path) -> bool:
    """Return whether a service listens; one that was killed leaves its socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # it is there, and `ask` reports why it cannot be reached
            return True
        return True


def _install(config: Config, bundle: Path, name: str) -> None:
    from asd_agent.bundle import Bundle
    from asd_agent.bundle.registry import BundleRegistry
    from asd_agent.clock import SystemClock
    from asd_agent.inference.isolated_check import check_isolated

    used = [n for n, m in config.monitors.items() if config.bundle_path(m.bundle) == config.paths.bundles / name]
    if used:
        raise UsageError(f"bundle {name!r} is used by monitor {', '.join(used)}", "Give the machine another name.")

    def check(opened: Bundle) -> None:
        found = check_isolated(opened, config.providers)
        for complaint in found.complaints:
            warn(f"{found.provider} is in use: {complaint}")

    def report(step: str) -> None:
        sys.stderr.write(f"{step} …\n")

    BundleRegistry(config.paths.bundles, check, SystemClock().utc, step=report).install(bundle, name)


def _preflight(whole: Config, name: str) -> None:
    """Refuse a configuration in which the new machine cannot be watched; the others are as they were."""
    from asd_agent.config.preflight import preflight

    monitor = whole.monitors[name]
    alone = whole.model_copy(
        update={"monitors": {name: monitor}, "sources": {monitor.source: whole.sources[monitor.source]}}
    )
    places = (f"monitors.{name}", f"sources.{monitor.source}")
    wrong = [f for f in preflight(alone) if f.level == "problem" and f.where.startswith(places)]
    if wrong:
        raise ConfigError("\n".join(map(str, wrong)))


def _source_of(config: Config, device: str, channel: int) -> str | None:
    """Return the source that opens a device already; None where none does.

    Raises:
        UsageError: It does not send the channel, and a device is opened once.
    """
    for name, settings in config.sources.items():
        if settings.hardware == device:
            if channel not in settings.channels:
                raise UsageError(
                    f"source {name} opens {device} without channel {channel}", f"Add it to `channels` of {name}."
                )
            return name
    return None


def _free_name(wanted: str, config: Config) -> str:
    return next(n for n in (wanted, *(f"{wanted}-{i}" for i in range(2, 2000))) if n not in config.sources)


def _taken_up(text: str) -> str:
    return f"the service reloaded: {text}" if text else "no service runs; it takes this up when it starts"


def _report(text: str, done: str, *, json: bool) -> None:
    if json:
        print_json({"schema": 1, "reloaded": text})
    else:
        sys.stdout.write(f"{done}\n{_taken_up(text)}\n")
