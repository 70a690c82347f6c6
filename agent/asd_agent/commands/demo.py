"""asd-agent demo: see and measure the agent at work, with nothing installed but itself."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_agent.commands.console import log_to_stderr, print_json

if TYPE_CHECKING:
    from asd_agent.demo.play import DemoOutcome


def demo(
    speed: Annotated[float, typer.Option(help="Seconds of recording a second; 1 is real time.", min=0.1, max=50)] = 1.0,
    seconds: Annotated[float | None, typer.Option(help="Play only so much of the recording.", min=20)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, no screen.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Save the last alarm's screen as SVG here.")] = None,
    evidence: Annotated[Path | None, typer.Option(help="Keep sound and picture of each alarm in this folder.")] = None,
) -> None:
    """Play simulated sound of a fan, normal and faulty, through the very pipeline of `run`.

    A broker runs inside, a subscriber in a process of its own prints what it receives, and the broker is stopped for
    a while during a fault: that alert arrives afterwards, marked late. Exit code 0 when every fault raised an alarm
    and no normal stretch did.

    Example: asd-agent demo --speed 10
    """
    from rich.console import Console
    from rich.live import Live

    from asd_agent.demo.play import Demo
    from asd_agent.demo.screen import render

    log_to_stderr(logging.ERROR)
    if json:
        outcome = Demo(speed, seconds, evidence=evidence).run()
        print_json(outcome.to_dict())
    else:
        console = Console()
        with Live(console=console, auto_refresh=False, screen=False) as live:
            player = Demo(speed, seconds, show=lambda c: live.update(render(c), refresh=True), evidence=evidence)
            outcome = player.run()
        if picture:
            _save(picture, render(player.at_last_alarm))
        _print(outcome, evidence)
    if not outcome.good:
        raise typer.Exit(1)


def _print(outcome: DemoOutcome, evidence: Path | None) -> None:
    latencies = ", ".join(f"{seconds:g} s" for seconds in outcome.latency_seconds)
    where = f"is in {evidence}" if evidence else "went with the demo; --evidence FOLDER keeps it"
    sys.stdout.write(
        f"\n{outcome.detected} of {outcome.faults} faults found, {outcome.false_alarms} false alarms "
        f"in {outcome.seconds:.0f} s of sound\n"
        f"from the start of a fault to its alarm: {latencies}\n"
        f"{outcome.received} of {outcome.raised} alarms reached the subscriber, {outcome.received_late} of them late\n"
        f"sound and picture of {outcome.evidence} alarms {where}\n"
    )


def _save(path: Path, screen: object) -> None:
    from io import StringIO

    from rich.console import Console

    console = Console(record=True, width=90, file=StringIO(), force_terminal=True)
    console.print(screen)
    path.write_text(console.export_svg(title="asd-agent demo"), encoding="utf-8")
