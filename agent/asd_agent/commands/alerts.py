"""asd-agent alerts: states, alerts and commands of this box, and operator actions on its alarms."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.alarm import AlarmState
from asd_agent.clock import iso_utc
from asd_agent.commands.console import print_json, print_table
from asd_agent.config.file import load_config
from asd_agent.config.model import Config
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.errors import UsageError
from asd_agent.outbox.reader import alerts, commands, open_outbox, states
from asd_agent.outbox.schema import OUTBOX_NAME

app = typer.Typer(help="Alarms on this box: list, acknowledge, shelve.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Name = Annotated[str, typer.Argument(metavar="MONITOR", help="A monitor's name in the configuration.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")


@app.command("list")
def list_(config: ConfigPath = DEFAULT, json: Json = False) -> None:
    """Show the state of every monitor.

    Example: asd-agent alerts list -c agent.yaml
    """
    settings = load_config(config)
    with open_outbox(settings.paths.state / OUTBOX_NAME) as db:
        known = {name: state for name, state in states(db).items() if name in settings.monitors}
    rows = [_row(name, known.get(name)) for name in settings.monitors]
    if json:
        print_json({"monitors": rows})
        return
    print_table(["monitor", "state", "since", "severity", "score", "threshold", "alarm_id"], rows)


@app.command()
def history(
    config: ConfigPath = DEFAULT,
    limit: Annotated[int, typer.Option(min=1, help="Number of entries.")] = 20,
    json: Json = False,
) -> None:
    """Show the newest alerts and whether a broker has acknowledged them."""
    with open_outbox(load_config(config).paths.state / OUTBOX_NAME) as db:
        found = alerts(db, limit)
    if json:
        print_json({"alerts": [{"monitor": name, "sent": sent, **alert} for name, alert, sent in found]})
        return
    keys = ["window_end", "event", "severity", "score", "threshold", "alarm_id"]
    rows = [
        {"monitor": name, **{k: alert.get(k) for k in keys}, "sent": "yes" if sent else "waits"}
        for name, alert, sent in found
    ]
    print_table(["window_end", "monitor", "event", "severity", "score", "threshold", "alarm_id", "sent"], rows)


@app.command()
def log(
    config: ConfigPath = DEFAULT,
    limit: Annotated[int, typer.Option(min=1, help="Number of entries.")] = 20,
    json: Json = False,
) -> None:
    """Show the newest commands: sender, request and answer."""
    with open_outbox(load_config(config).paths.state / OUTBOX_NAME) as db:
        found = commands(db, limit)
    rows = [
        {"time": iso_utc(utc), "request": request, "done": done, "answer": text} for utc, request, done, text in found
    ]
    if json:
        print_json({"commands": rows})
        return
    print_table(["time", "done", "answer", "request"], rows)


@app.command()
def ack(
    monitor: Name,
    config: ConfigPath = DEFAULT,
    alarm_id: Annotated[str | None, typer.Option(help="Id of the alarm; by default the standing one.")] = None,
) -> None:
    """Acknowledge the standing alarm.

    Example: asd-agent alerts ack press-3-fan
    """
    _apply(config, monitor, "acknowledge", {"alarm_id": alarm_id} if alarm_id else {})


@app.command()
def shelve(
    monitor: Name,
    config: ConfigPath = DEFAULT,
    minutes: Annotated[float | None, typer.Option(help="Time in minutes.")] = None,
    one_shot: Annotated[bool, typer.Option("--one-shot", help="Until the alarm is over.")] = False,
) -> None:
    """Suppress the alerts of a monitor for a time.

    Example: asd-agent alerts shelve press-3-fan --minutes 60
    """
    if minutes is None and not one_shot:
        raise UsageError("no time is given", "Give --minutes, or --one-shot until the alarm is over.")
    _apply(config, monitor, "shelve", {"one_shot": one_shot} | ({} if minutes is None else {"minutes": minutes}))


@app.command()
def unshelve(monitor: Name, config: ConfigPath = DEFAULT) -> None:
    """Report the alarms of a monitor again that was shelved or out of service."""
    _apply(config, monitor, "unshelve", {})


@app.command("out-of-service")
def out_of_service(monitor: Name, config: ConfigPath = DEFAULT) -> None:
    """Take a monitor out of service: its windows do not count until it is unshelved."""
    _apply(config, monitor, "out_of_service", {})


def _apply(path: Path, monitor: str, verb: str, args: dict[str, Any]) -> None:
    settings: Config = load_config(path)
    if monitor not in settings.monitors:
        raise UsageError(f"there is no monitor {monitor!r}", f"{path} has {', '.join(settings.monitors)}.")
    document = {"command": "alarm", "verb": verb, "monitor": monitor, "args": args, "by": getpass.getuser()}
    answer = ask(settings.paths.state / SOCKET_NAME, document)
    if not answer.get("done"):
        raise ControlError(f"{monitor}: {answer.get('text', 'refused')}")
    typer.echo(f"{monitor}: {answer['text']}")


def _row(name: str, state: AlarmState | None) -> dict[str, Any]:
    window = state.newest if state else None
    raised = state.raised_utc if state and state.announced else None
    return {
        "monitor": name,
        "state": state.state if state else "never heard",
        "since": iso_utc(raised) if raised is not None else None,
        "severity": state.severity if state else None,
        "score": window.score if window else None,
        "threshold": window.threshold if window else None,
        "alarm_id": state.alarm_id if state and state.announced else None,
        "stale": bool(state and state.stale),
        "suspended": bool(state and state.suspended),
    }
