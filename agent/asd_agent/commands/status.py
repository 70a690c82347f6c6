"""asd-agent status: one screen about the running service."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json, print_table
from asd_agent.config.file import load_config
from asd_agent.control_client import SOCKET_NAME, ask

WATCH_SECONDS = 2.0


def status(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until interrupted.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show sources, monitors, alarms and delivery of the running service.

    Exit code 1 when no service runs, when an alarm stands, or when something cannot be judged.

    Example: asd-agent status --watch
    """
    path = load_config(config).paths.state / SOCKET_NAME
    while True:
        document = ask(path, {"command": "status"})
        if json:
            print_json(document)
        else:
            if watch:
                typer.echo("\033[2J\033[H", nl=False)
            show(document)
        if not watch:
            break
        time.sleep(WATCH_SECONDS)
    if not well(document):
        raise typer.Exit(1)


def well(document: dict[str, Any]) -> bool:
    """Return whether no alarm stands, every monitor judges, and nothing is at fault."""
    good = {"normal", "returned", "suspended", "acknowledged"}
    return all(m["state"] in good for m in document["monitors"].values()) and not document["health"]["faults"]


def show(document: dict[str, Any]) -> None:
    """Print the screen."""
    health = document["health"]
    up = health["uptime_seconds"] / 3600
    typer.echo(f"{health['agent']}  version {health['versions']['asd-agent']}  up {up:.1f} h  clock {health['clock']}")
    typer.echo("")
    rows = []
    for name, monitor in document["monitors"].items():
        rows.append(
            {
                "monitor": name,
                "state": monitor["state"],
                "score": monitor["score"],
                "level": monitor["threshold"],
                "severity": monitor["severity"] if monitor["alarm"] != "normal" else None,
                "source": document["monitor_sources"][name],
                "waits": len(monitor["returned"]) or None,
            }
        )
    print_table(["monitor", "state", "score", "level", "severity", "source", "waits"], rows)
    sources = [
        {
            "source": name,
            "state": source["state"],
            "level_dbfs": source["level_dbfs"],
            "restarts": source["restarts"],
            "samples_lost": source["samples_lost"],
        }
        for name, source in health["sources"].items()
    ]
    typer.echo("")
    print_table(["source", "state", "level_dbfs", "restarts", "samples_lost"], sources)
    delivery, outbox = health["delivery"], health["outbox"]
    broker = "connected" if delivery["connected"] else "not connected"
    typer.echo("")
    typer.echo(f"broker {broker}, {outbox['depth']} alerts wait, {delivery['sent']} sent, {outbox['dropped']} dropped")
    proof = health.get("last_test")
    typer.echo(
        f"chain proved at {proof['time']} by {proof['monitor']} in {proof['seconds']:.1f} s"
        if proof
        else "chain never proved: run asd-agent test-alarm MONITOR"
    )
    for name, text in health.get("drift", {}).items():
        typer.echo(f"drift of {name}: {text}")
    for name, text in health.get("levels", {}).items():
        typer.echo(f"level of {name}: {text}")
    for part, fault in health["faults"].items():
        typer.echo(f"fault of {part}: {fault}")
