"""asd-agent evidence: the recordings that prove alarms, listed and copied out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json, print_table
from asd_agent.config.file import load_config
from asd_agent.errors import UsageError
from asd_agent.evidence.export import export_to
from asd_agent.evidence.store import FOLDER, Held, held

app = typer.Typer(help="Recordings that prove alarms: list, export.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")
_COLUMNS = ["id", "monitor", "time", "severity", "score", "acknowledged", "kB", "what_stood_out"]


@app.command("list")
def list_(
    config: ConfigPath = DEFAULT,
    monitor: Annotated[str | None, typer.Option(help="Of this monitor alone.")] = None,
    json: Json = False,
) -> None:
    """Show what is kept, the newest first.

    Example: asd-agent evidence list -c agent.yaml
    """
    folder = load_config(config).paths.state / FOLDER
    found = [_row(h) for h in held(folder) if monitor in (None, h.monitor)]
    rows = sorted(found, key=lambda row: row["id"], reverse=True)
    if json:
        print_json({"folder": str(folder), "evidence": rows})
        return
    print_table(_COLUMNS, [row | {"kB": round(row["bytes"] / 1000)} for row in rows])


@app.command()
def export(
    evidence_id: Annotated[
        str, typer.Argument(metavar="ID", help="As `list` shows it, its beginning, or the alarm's id.")
    ],
    to: Annotated[Path, typer.Option("--to", help="A folder to put it into, or a file that ends with .zip.")],
    config: ConfigPath = DEFAULT,
    json: Json = False,
) -> None:
    """Copy the clip, the picture and the account of one alarm, checked against their digests.

    Example: asd-agent evidence export 20270115T080010Z --to /media/usb -c agent.yaml
    """
    folder = load_config(config).paths.state / FOLDER
    fits = [h for h in held(folder) if h.id.startswith(evidence_id) or h.id.endswith(f"-{evidence_id}")]
    if not fits:
        raise UsageError(f"there is no evidence {evidence_id!r} in {folder}", "`asd-agent evidence list` shows it all.")
    if len(fits) > 1:
        raise UsageError(f"{len(fits)} evidence begin with {evidence_id!r}", f"Give more of it, such as {fits[0].id}.")
    place = export_to(fits[0], to)
    if json:
        print_json({"id": fits[0].id, "path": str(place)})
        return
    typer.echo(str(place))


def _row(one: Held) -> dict[str, Any]:
    alert = one.record.alert if one.record else {}
    explanation = alert.get("explanation") or {}
    return {
        "id": one.id,
        "monitor": one.monitor,
        "time": one.record.clip.start if one.record else None,
        "alarm_id": one.record.alarm_id if one.record else None,
        "severity": alert.get("severity"),
        "score": alert.get("score"),
        "acknowledged": one.acknowledged,
        "bytes": one.bytes,
        "what_stood_out": explanation.get("text") if one.record else "its account cannot be read",
        "path": str(one.path),
    }
