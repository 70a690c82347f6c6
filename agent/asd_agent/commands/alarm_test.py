"""asd-agent test-alarm: proves the chain from a window to the broker and to people."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json
from asd_agent.config.file import load_config
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.errors import UsageError

POLL_SECONDS = 0.5


def run_test_alarm(
    monitor: Annotated[str, typer.Argument(metavar="MONITOR", help="A monitor's name in the configuration.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds to wait for the broker.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Send a test alarm through scoring, alarm and outbox, and wait until the broker and every target have it.

    Its alerts carry `test: true`; the monitor's own alarm is not touched.

    Example: asd-agent test-alarm press-3-fan
    """
    settings = load_config(config)
    if monitor not in settings.monitors:
        raise UsageError(f"there is no monitor {monitor!r}", f"{config} has {', '.join(settings.monitors)}.")
    path = settings.paths.state / SOCKET_NAME
    answer = ask(path, {"command": "test_alarm", "monitor": monitor})
    if not json:
        scored = f"scored {answer['score']:.2f} over {answer['threshold']:.2f}"
        typer.echo(f"{monitor}: {scored}; alarm {answer['alarm_id']}")
    acknowledged, reached, targets = False, dict[str, bool](), dict[str, Any]()
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        health = ask(path, {"command": "health"})["health"]
        proof, targets = health.get("last_test"), health.get("notify", {})
        reached = {name: target["last_test"] == answer["alarm_id"] for name, target in targets.items()}
        acknowledged = bool(proof) and proof["alarm_id"] == answer["alarm_id"]
        if acknowledged and all(reached.values()):
            if json:
                print_json({**answer, "proof": proof, "targets": reached})
            else:
                typer.echo(f"{monitor}: the broker acknowledged it after {proof['seconds']:.1f} s")
                if reached:
                    typer.echo(f"{monitor}: accepted by {', '.join(reached)}")
            return
        time.sleep(POLL_SECONDS)
    if acknowledged:
        names = [name for name, done in reached.items() if not done]
        raise ControlError(
            f"{monitor}: {', '.join(names)} did not accept the test alarm within {timeout:.0f} s; it waits",
            "; ".join(f"{name}: {targets[name]['fault'] or 'no answer yet'}" for name in names),
        )
    raise ControlError(
        f"{monitor}: no broker has acknowledged the test alarm within {timeout:.0f} s; it waits in the outbox",
        "`asd-agent doctor` shows why the broker does not answer.",
    )
