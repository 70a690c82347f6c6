"""asd-agent alerts: states, alerts and commands of this box, and operator actions on its alarms."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.alarm import VERDICTS, AlarmState
from asd_agent.clock import iso_utc
from asd_agent.commands.console import local_time, print_json, print_table
from asd_agent.commands.history import print_alarms, stretch
from asd_agent.config.file import load_config
from asd_agent.config.model import Config
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.errors import UsageError
from asd_agent.history import FILE_NAME as HISTORY_NAME
from asd_agent.history.reader import open_history
from asd_agent.outbox.reader import alerts, commands, open_outbox, states
from asd_agent.outbox.schema import OUTBOX_NAME

app = typer.Typer(help="Alarms on this box: list, acknowledge, shelve.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Name = Annotated[str, typer.Argument(metavar="MONITOR", help="A monitor's name in the configuration.")]
Note = Annotated[str | None, typer.Option(help="A note for colleagues, kept with the alarm.")]
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
        print_json({"monitors": [{k: v for k, v in row.items() if k != "since_utc"} for row in rows]})
        return
    for row in rows:
        row["since"] = None if row["since_utc"] is None else local_time(row["since_utc"])
    print_table(["monitor", "state", "since", "severity", "score", "alarm_id"], rows)


@app.command()
def history(
    config: ConfigPath = DEFAULT,
    monitor: Annotated[str | None, typer.Option(help="One monitor; by default all.")] = None,
    since: Annotated[str, typer.Option(help="Start: 12h, 7d, 8w before now, or a local date and time.")] = "30d",
    limit: Annotated[int, typer.Option(min=1, help="Number of alarms.")] = 20,
    json: Json = False,
) -> None:
    """Show the newest alarms, standing and past, with their verdicts.

    Example: asd-agent alerts history --since 7d
    """
    from asd_agent.history.export import alarm_document

    settings = load_config(config)
    start, end = stretch(since, "now")
    with open_history(settings.paths.state / HISTORY_NAME) as stored:
        found = stored.alarms(monitor=monitor, since=start, until=end, limit=limit)
    if json:
        print_json({"alarms": [alarm_document(alarm) for alarm in found]})
        return
    print_alarms(found)


@app.command()
def show(
    alarm_id: Annotated[str, typer.Argument(metavar="ALARM", help="Id of the alarm.")],
    config: ConfigPath = DEFAULT,
    json: Json = False,
) -> None:
    """Show one alarm: scores, explanation, and who did what.

    Example: asd-agent alerts show 4f0c…
    """
    from asd_agent.history.export import alarm_document

    settings = load_config(config)
    with open_history(settings.paths.state / HISTORY_NAME) as stored:
        alarm = stored.alarm(alarm_id)
    if alarm is None:
        raise UsageError(f"there is no alarm {alarm_id[:64]!r}", "`asd-agent alerts history` lists the alarms.")
    if json:
        print_json(alarm_document(alarm))
        return
    for name in ("alarm_id", "monitor", "machine", "section", "domain", "severity", "peak_score", "level", "text",
                 "verdict", "label", "note", "evidence_id"):  # fmt: skip
        if alarm[name] is not None:
            typer.echo(f"{name.replace('_', ' '):12} {alarm[name]}")
    typer.echo("")
    keys = ("event", "state", "by", "verdict", "label", "note")
    rows = [{"time": local_time(e["utc"]), **{k: e[k] for k in keys}} for e in alarm["events"]]
    print_table(["time", *keys], rows, text=("note", "label"))


@app.command()
def sent(
    config: ConfigPath = DEFAULT,
    limit: Annotated[int, typer.Option(min=1, help="Number of entries.")] = 20,
    json: Json = False,
) -> None:
    """Show the newest alerts and whether a broker has acknowledged them."""
    with open_outbox(load_config(config).paths.state / OUTBOX_NAME) as db:
        found = alerts(db, limit)
    if json:
        print_json({"alerts": [{**alert, "monitor": name, "sent": done} for name, alert, done in found]})
        return
    keys = ["window_end", "event", "severity", "score", "alarm_id"]
    rows = [
        {**{k: alert.get(k) for k in keys}, "monitor": name, "sent": "yes" if done else "waits"}
        for name, alert, done in found
    ]
    print_table(["window_end", "monitor", "event", "severity", "score", "alarm_id", "sent"], rows)


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


@app.command("ack", hidden=True)
@app.command()
def acknowledge(
    monitor: Annotated[str | None, typer.Argument(metavar="MONITOR", help="A monitor's name; or --all.")] = None,
    config: ConfigPath = DEFAULT,
    alarm_id: Annotated[str | None, typer.Option(help="Id of one alarm; by default the standing one.")] = None,
    note: Note = None,
    every: Annotated[bool, typer.Option("--all", help="Every alarm of every monitor.")] = False,
) -> None:
    """Acknowledge the standing alarm, or those that have come and gone.

    Example: asd-agent alerts acknowledge press-3-fan --note "bearing ordered"
    """
    if (monitor is None) == (not every):
        raise UsageError("give a monitor, or --all", "`asd-agent alerts list` shows the monitors.")
    args = _given(alarm_id=alarm_id, note=note)
    if monitor is not None:
        _apply(config, monitor, "acknowledge", args)
        return
    settings = load_config(config)
    with open_outbox(settings.paths.state / OUTBOX_NAME) as db:
        known = states(db)
    waiting = [n for n in settings.monitors if n in known and (known[n].phase == "active" or known[n].returned)]
    for name in waiting:
        _apply(config, name, "acknowledge", args)
    if not waiting:
        typer.echo("no alarm waits to be acknowledged")


@app.command()
def verdict(
    monitor: Name,
    judgement: Annotated[str, typer.Argument(metavar="VERDICT", help="true, false, test or unclear.")],
    config: ConfigPath = DEFAULT,
    alarm_id: Annotated[str | None, typer.Option(help="Id of the alarm; by default the newest.")] = None,
    label: Annotated[str | None, typer.Option(help="Cause in a word or two: bearing, forklift.")] = None,
    note: Note = None,
) -> None:
    """Judge an alarm; it can be judged again, and each verdict is kept.

    Example: asd-agent alerts verdict press-3-fan false --label forklift
    """
    if judgement not in VERDICTS:
        raise UsageError(f"{judgement[:40]!r} is no verdict", f"Give one of {', '.join(VERDICTS)}.")
    _apply(config, monitor, "verdict", {"verdict": judgement, **_given(alarm_id=alarm_id, label=label, note=note)})


@app.command()
def shelve(
    monitor: Name,
    config: ConfigPath = DEFAULT,
    minutes: Annotated[float | None, typer.Option(help="Time in minutes.")] = None,
    one_shot: Annotated[bool, typer.Option("--one-shot", help="Until the alarm is over.")] = False,
    note: Note = None,
) -> None:
    """Suppress the alerts of a monitor for a time.

    Example: asd-agent alerts shelve press-3-fan --minutes 60
    """
    if minutes is None and not one_shot:
        raise UsageError("no time is given", "Give --minutes, or --one-shot until the alarm is over.")
    _apply(config, monitor, "shelve", {"one_shot": one_shot, **_given(minutes=minutes, note=note)})


@app.command()
def unshelve(monitor: Name, config: ConfigPath = DEFAULT, note: Note = None) -> None:
    """Report the alarms of a monitor again that was shelved or out of service."""
    _apply(config, monitor, "unshelve", _given(note=note))


@app.command("out-of-service")
def out_of_service(monitor: Name, config: ConfigPath = DEFAULT, note: Note = None) -> None:
    """Take a monitor out of service: its windows do not count until it is unshelved."""
    _apply(config, monitor, "out_of_service", _given(note=note))


def _given(**values: Any) -> dict[str, Any]:
    """Return the arguments that a person gave."""
    return {name: value for name, value in values.items() if value is not None}


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
    raised, alarm_id = (state.raised_utc, state.alarm_id) if state and state.announced else (None, None)
    severity = state.severity if state else None
    if state and state.state == "returned":  # the alarm that waits for an acknowledgement
        waiting = state.returned[-1]
        raised, alarm_id, severity = waiting.raised_utc, waiting.alarm_id, waiting.severity
    return {
        "monitor": name,
        "state": state.state if state else "never heard",
        "since": iso_utc(raised) if raised is not None else None,
        "since_utc": raised,
        "severity": severity,
        "score": window.score if window else None,
        "threshold": window.threshold if window else None,
        "alarm_id": alarm_id,
        "stale": bool(state and state.stale),
        "suspended": bool(state and state.suspended),
        "returned": [p.alarm_id for p in state.returned] if state else [],
    }
