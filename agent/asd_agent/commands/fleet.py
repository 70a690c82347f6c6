"""asd-agent fleet: every agent on a broker in one table, and the roll-out of a bundle to many of them."""

from __future__ import annotations

import getpass
import hashlib
import time
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json, print_table
from asd_agent.config.base import Secret
from asd_agent.config.model import MqttSettings, Tls
from asd_agent.errors import UsageError

WATCH_SECONDS = 2.0
_SHOWN = ("agent", "state", "alarms", "not_judged", "faults", "version", "seen")

app = typer.Typer(help="All agents of a broker: their states, and bundles for many of them.")

_Host = Annotated[str, typer.Option("--host", "-h", help="The MQTT broker.")]
_Port = Annotated[int | None, typer.Option("--port", "-p", help="Its port; by default 1883, with TLS 8883.")]
_User = Annotated[str | None, typer.Option("--username", "-u", help="Name to log in with.")]
_Password = Annotated[Path | None, typer.Option("--password-file", help="File that holds the password.")]
_Tls = Annotated[bool, typer.Option("--tls", help="Use TLS with the system's authorities.")]
_Ca = Annotated[Path | None, typer.Option("--ca", help="Use TLS with this authority (PEM).")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Wait = Annotated[float, typer.Option(min=1, max=600, help="Most seconds to wait for the broker's messages.")]


@app.callback(invoke_without_command=True)
def fleet(
    context: typer.Context,
    host: _Host = "127.0.0.1",
    port: _Port = None,
    username: _User = None,
    password_file: _Password = None,
    tls: _Tls = False,
    ca: _Ca = None,
    wait: _Wait = 10.0,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until interrupted.")] = False,
    json: _Json = False,
) -> None:
    """Show every agent on a broker, those with trouble first.

    Exit code 1 where there is no agent, or one is not online, has an alarm or fault, or cannot judge. Two boxes of one
    name are shown as `duplicate`; those that connect to different brokers show after some reports, with --watch.

    Example: asd-agent fleet -h broker.example.org --tls --username viewer --password-file viewer.txt
    """
    if context.invoked_subcommand is not None:
        return
    settings = broker_settings(host, port, username, password_file, tls=tls, ca=ca)
    from asd_agent.fleet.client import FleetClient
    from asd_agent.fleet.view import FILTERS, FleetView

    view = FleetView()
    with FleetClient(settings, FILTERS, view.take) as client:
        client.settle(wait)
        while True:
            with client.changed:
                rows, well = view.rows(time.time()), view.well(time.time())
            if watch and not json:
                typer.echo("\033[2J\033[H", nl=False)
            _show(rows, json=json)
            if not watch:
                break
            time.sleep(WATCH_SECONDS)
    if not well:
        raise typer.Exit(1)


@app.command("roll-out")
def roll_out(
    url: Annotated[
        str, typer.Argument(metavar="BUNDLE-URL", help="Place of the bundle, one .tar, as the boxes see it.")
    ],
    to: Annotated[list[str], typer.Option("--to", help="Names of agents, as 'hall-3-*'; may be given again.")],
    sha256: Annotated[
        str | None, typer.Option(help="SHA-256 of the file; by default that of what is downloaded here.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name by which monitors refer to it; by default its own.")] = None,
    canary: Annotated[int, typer.Option(min=0, help="Boxes that are watched before the others follow.")] = 1,
    watch: Annotated[float, typer.Option(min=0, help="Seconds for which they are watched.")] = 60.0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one box may take.")] = 3600.0,
    by: Annotated[str | None, typer.Option(help="Your name, for the boxes' logs.")] = None,
    host: _Host = "127.0.0.1",
    port: _Port = None,
    username: _User = None,
    password_file: _Password = None,
    tls: _Tls = False,
    ca: _Ca = None,
    wait: _Wait = 10.0,
    json: _Json = False,
) -> None:
    """Install a bundle on many boxes, one after the other, and stop at the first that fails.

    A box checks digest, files, golden windows and configuration before it uses the bundle, judges its first windows,
    and returns to its former bundle where most of them exceed the raise level. Exit code 1 where a box failed; those
    after it are untouched.

    Example: asd-agent fleet roll-out https://files.example.org/fan.tar -h BROKER --to 'hall-3-*' --canary 1
    """
    from asd_agent.fleet.client import FleetClient
    from asd_agent.fleet.roll_out import RollOut, RollOutPlan

    settings = broker_settings(host, port, username, password_file, tls=tls, ca=ca)
    person = (by or getpass.getuser())[:64]
    plan = RollOutPlan(url, sha256 or _digest(url), name, to, canary, watch, timeout, person)
    work = RollOut(plan, lambda line: typer.echo(line, err=True))
    with FleetClient(settings, work.filters, work.receive) as client:
        client.settle(wait)
        results = work.run(client)
    if json:
        print_json({"url": url, "sha256": plan.sha256, "boxes": [asdict(r) for r in results]})
    else:
        print_table(["agent", "outcome", "text"], [asdict(r) for r in results], text=("text",))
    if any(result.outcome != "done" for result in results):
        raise typer.Exit(1)


def broker_settings(
    host: str, port: int | None, username: str | None, password_file: Path | None, *, tls: bool, ca: Path | None
) -> MqttSettings:
    """Return the settings of a broker from a command's options.

    Raises:
        UsageError: They cannot be used.
    """
    secured = tls or ca is not None
    try:
        return MqttSettings(
            host=host,
            port=port or (8883 if secured else 1883),
            tls=Tls(ca=ca) if secured else None,
            username=username,
            password=Secret(file=password_file) if password_file is not None else None,
        )
    except ValueError as error:
        raise UsageError(str(error).splitlines()[-1].strip(), "See `asd-agent fleet --help`.") from error


def _show(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json({"agents": rows})
        return
    if not rows:
        typer.echo("no agent has reported to this broker")
        return
    print_table(list(_SHOWN), [{**row, "seen": _age(row["seen_seconds"])} for row in rows])
    for row in rows:
        for part, text in row["fault_texts"].items():
            typer.echo(f"{row['agent']}: fault of {part}: {text}")


def _age(seconds: int | None) -> str | None:
    if seconds is None or seconds < 120:
        return None if seconds is None else f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _digest(url: str) -> str:
    """Return the SHA-256 of what a URL gives here."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no http or https URL", "The boxes download it themselves.")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - its scheme is checked
            while block := answer.read(1 << 16):
                digest.update(block)
    except OSError as error:
        raise UsageError(f"{url} cannot be downloaded here ({error})", "Give its --sha256.") from error
    return digest.hexdigest()
