"""asd-agent evidence: recordings of alarms, listed and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json, print_table
from asd_agent.config.file import load_config
from asd_agent.errors import UsageError
from asd_agent.evidence.store import FOLDER, StoredEvidence, export_evidence, list_evidence

app = typer.Typer(help="Recordings of alarms: list, export.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")
_COLUMNS = ["id", "monitor", "time", "severity", "score", "acknowledged", "kB", "what_stood_out"]


@app.command("list")
def list_(
    config: ConfigPath = DEFAULT,
    monitor: Annotated[str | None, typer.Option(help="Only those of this monitor.")] = None,
    json: Json = False,
) -> None:
    """Show the stored evidence, the newest first.

    Example: asd-agent evidence list -c agent.yaml
    """
    folder = load_config(config).paths.state / FOLDER
    found = [_row(e) for e in list_evidence(folder) if monitor in (None, e.monitor)]
    rows = sorted(found, key=lambda row: row["id"], reverse=True)
    if json:
        print_json({"folder": str(folder), "evidence": rows})
        return
    print_table(_COLUMNS, [row | {"kB": round(row["bytes"] / 1000)} for row in rows])


@app.command()
def export(
    evidence_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id as `list` shows it, its beginning, or the alarm's id.")
    ],
    to: Annotated[Path, typer.Option("--to", help="A folder to put it into, or a file that ends with .zip.")],
    config: ConfigPath = DEFAULT,
    json: Json = False,
) -> None:
    """Copy clip, picture and record of one alarm, checked against their digests.

    Example: asd-agent evidence export 20270115T080010Z --to /media/usb -c agent.yaml
    """
    folder = load_config(config).paths.state / FOLDER
    fits = [e for e in list_evidence(folder) if e.id.startswith(evidence_id) or e.id.endswith(f"-{evidence_id}")]
    if not fits:
        raise UsageError(f"there is no evidence {evidence_id!r} in {folder}", "`asd-agent evidence list` shows all.")
    if len(fits) > 1:
        raise UsageError(
            f"evidence of {len(fits)} alarms begins with {evidence_id!r}", f"Give more of it, such as {fits[0].id}."
        )
    place = export_evidence(fits[0], to)
    if json:
        print_json({"id": fits[0].id, "path": str(place)})
        return
    typer.echo(str(place))


def _row(one: StoredEvidence) -> dict[str, Any]:
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
        "what_stood_out": explanation.get("text") if one.record else "its record cannot be read",
        "path": str(one.path),
    }
