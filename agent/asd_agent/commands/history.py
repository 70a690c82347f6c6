"""asd-agent history: scores and alarms over time, from the box's own history."""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.clock import iso_utc
from asd_agent.commands.console import local_time, print_json, print_table
from asd_agent.config.file import load_config
from asd_agent.config.model import AlarmSettings, Config, MonitorSettings, RaiseAfter
from asd_agent.errors import UsageError

app = typer.Typer(help="Scores and alarms of this box over time.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, with times in UTC.")]
Name = Annotated[str, typer.Argument(metavar="MONITOR", help="A monitor's name in the configuration.")]
Since = Annotated[str, typer.Option(help="Start: 90m, 12h, 7d, 8w before now, or a local date and time.")]
Until = Annotated[str, typer.Option(help="End, written as --since; by default now.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")
UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


@app.command()
def show(
    monitor: Name,
    config: ConfigPath = DEFAULT,
    since: Since = "24h",
    until: Until = "now",
    json: Json = False,
) -> None:
    """Draw the scores of a monitor against its level, and list its alarms.

    Example: asd-agent history show press-3-fan --since 7d
    """
    from asd_agent.history.chart import chart
    from asd_agent.history.export import alarm_document, series_rows
    from asd_agent.history.reader import open_history

    settings = load_config(config)
    _monitor(settings, config, monitor)
    start, end = stretch(since, until)
    with open_history(_path(settings)) as history:
        series = history.series(monitor, start, end, points=2000 if json else 200)
        found = history.alarms(monitor=monitor, since=start, until=end)
        trend = history.trend(monitor, end)
    if json:
        print_json(
            {
                "monitor": monitor,
                "since": iso_utc(start),
                "until": iso_utc(end),
                "step_seconds": series.step_seconds,
                "series": list(series_rows(series)),
                "alarms": [alarm_document(a) for a in found],
                "drift": None if trend is None else {"text": trend.text, **vars(trend)},
            }
        )
        return
    for line in chart(series, start, end):
        typer.echo(line)
    if trend is not None:
        share = 100 * trend.share
        typer.echo(f"drift: {trend.text}, {trend.per_day:+.3f} a day, {share:.0f} % of the way to the level")
    typer.echo("")
    print_alarms(found)


@app.command()
def export(
    config: ConfigPath = DEFAULT,
    monitor: Annotated[str | None, typer.Option(help="One monitor; by default all.")] = None,
    what: Annotated[str, typer.Option(help="windows, minutes or alarms.")] = "minutes",
    form: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    since: Since = "7d",
    until: Until = "now",
) -> None:
    """Write scores or alarms to stdout, with times in UTC.

    Example: asd-agent history export --what alarms --since 52w > alarms.csv
    """
    from asd_agent.history.export import export as lines
    from asd_agent.history.reader import open_history

    settings = load_config(config)
    if monitor is not None:
        _monitor(settings, config, monitor)
    if what not in {"windows", "minutes", "alarms"}:
        raise UsageError(f"--what {what!r} is unknown", "Give windows, minutes or alarms.")
    if form not in {"csv", "jsonl"}:
        raise UsageError(f"--format {form!r} is unknown", "Give csv or jsonl.")
    start, end = stretch(since, until)
    with open_history(_path(settings)) as history:
        for line in lines(history, what, monitor, start, end, form):  # type: ignore[arg-type]
            sys.stdout.write(line + "\n")


@app.command()
def replay(
    monitor: Name,
    config: ConfigPath = DEFAULT,
    level: Annotated[float | None, typer.Option(help="Raise level; by default the one that was in force.")] = None,
    raise_after: Annotated[str | None, typer.Option(help="Rule such as '4 of 6'; by default the monitor's.")] = None,
    clear_after: Annotated[int | None, typer.Option(min=1, help="Windows that clear an alarm.")] = None,
    since: Since = "14d",
    until: Until = "now",
    json: Json = False,
) -> None:
    """Show which alarms another level or rule would have given, and which judged ones it would lose or spare.

    Example: asd-agent history replay press-3-fan --level 5.5 --raise-after "4 of 6"
    """
    from asd_agent.history.reader import open_history
    from asd_agent.history.replay import compare
    from asd_agent.history.replay import replay as run

    settings = load_config(config)
    rule = _rule(_monitor(settings, config, monitor).alarm, raise_after, clear_after)
    start, end = stretch(since, until)
    with open_history(_path(settings)) as history:
        block = history.windows(monitor, start, end)
        given = history.alarms(monitor=monitor, since=start, until=end)
    result = compare(run(block, rule, level=level), given)
    if json:
        print_json(
            {
                "monitor": monitor,
                "since": iso_utc(start),
                "until": iso_utc(end),
                "windows": len(block),
                "level": level,
                "raise_after": f"{rule.raise_after.k} of {rule.raise_after.n}",
                "alarms": [_replayed(r.raised_utc, r.cleared_utc, r.peak_score, r.severity) for r in result.alarms],
                "lost": list(result.lost),
                "spared": list(result.spared),
                "kept": list(result.kept),
                "absent": list(result.absent),
                "added": len(result.added),
            }
        )
        return
    rows = [
        {
            "raised": local_time(r.raised_utc),
            "cleared": "stands" if r.cleared_utc is None else local_time(r.cleared_utc),
            "peak_score": r.peak_score,
            "severity": r.severity,
            "new": "new" if r in result.added else "",
        }
        for r in result.alarms
    ]
    print_table(["raised", "cleared", "peak_score", "severity", "new"], rows)
    typer.echo(f"{len(block)} windows, {len(result.alarms)} alarms; the service gave {len(given)}")
    for name, ids in (
        ("judged true, would be lost", result.lost),
        ("judged false, would be spared", result.spared),
        ("not judged, would be absent", result.absent),
    ):
        if ids:
            typer.echo(f"{name}: {len(ids)}")
            for alarm_id in ids:
                typer.echo(f"  {alarm_id}")


def stretch(since: str, until: str, now: float | None = None) -> tuple[float, float]:
    """Return start and end in seconds since 1970 from what a person gives.

    Raises:
        UsageError: One is not understood, or the end is not after the start.
    """
    now = time.time() if now is None else now
    start, end = _time(since, "--since", now), now if until == "now" else _time(until, "--until", now)
    if not start < end:
        raise UsageError(f"--since {since} is not before --until {until}", "Give an earlier --since.")
    return start, end


def print_alarms(found: list[dict[str, Any]]) -> None:
    """Print alarms as a table, the newest first, with times of this box."""
    rows = [
        {
            "raised": local_time(a["raised_utc"]),
            "monitor": a["monitor"],
            "lasted": "stands" if a["cleared_utc"] is None else _lasted(a["cleared_utc"] - a["raised_utc"]),
            "severity": a["severity"],
            "verdict": a["verdict"],
            "alarm_id": a["alarm_id"],
        }
        for a in found
    ]
    print_table(["raised", "monitor", "lasted", "severity", "verdict", "alarm_id"], rows)


def _time(text: str, option: str, now: float) -> float:
    if match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhdw])", text.strip()):
        return now - float(match[1]) * UNITS[match[2]]
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text[:40]!r} is no time", "Give 90m, 12h, 7d or 2026-11-25T08:00.") from error


def _lasted(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _replayed(raised: float, cleared: float | None, peak: float, severity: int) -> dict[str, Any]:
    return {
        "raised": iso_utc(raised),
        "cleared": None if cleared is None else iso_utc(cleared),
        "peak_score": peak,
        "severity": severity,
    }


def _rule(settings: AlarmSettings, raise_after: str | None, clear_after: int | None) -> AlarmSettings:
    update: dict[str, Any] = {}
    if raise_after is not None:
        try:
            update["raise_after"] = RaiseAfter.model_validate(raise_after)
        except ValueError as error:
            raise UsageError(f"--raise-after {raise_after[:40]!r} is no rule", "Write it as '4 of 6'.") from error
    if clear_after is not None:
        update["clear_after"] = clear_after
    return settings.model_copy(update=update)


def _monitor(settings: Config, config: Path, name: str) -> MonitorSettings:
    if name not in settings.monitors:
        raise UsageError(f"there is no monitor {name!r}", f"{config} has {', '.join(settings.monitors)}.")
    return settings.monitors[name]


def _path(settings: Config) -> Path:
    from asd_agent.history import FILE_NAME

    return settings.paths.state / FILE_NAME
