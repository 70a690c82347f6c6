"""asd-trainer simulate: a data set of simulated machines in the official layout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from asd_agent.commands.console import print_json
from asd_trainer.engine.progress import progress_bars


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write; new, empty, or started with the same settings.")],
    machine: Annotated[list[str] | None, typer.Option(help="Machine type; may be given again. Default: all.")] = None,
    sections: Annotated[int, typer.Option(help="Units of each machine.", min=1, max=100)] = 2,
    train_source: Annotated[int, typer.Option(help="Normal source clips for training in each section.", min=0)] = 100,
    train_target: Annotated[int, typer.Option(help="Normal target clips for training in each section.", min=0)] = 3,
    test_normal: Annotated[int, typer.Option(help="Normal test clips of each section and domain.", min=0)] = 50,
    test_anomaly: Annotated[int, typer.Option(help="Anomalous test clips of each section and domain.", min=0)] = 50,
    seed: Annotated[int, typer.Option(help="Another seed gives other clips of the same units.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Simulate machines, healthy and faulty. An interrupted call is resumed.

    The simulation serves development and tests. It is no evidence about a real machine.

    Example: asd-trainer simulate data/simulated --machine fan --machine valve --sections 2
    """
    from asd_trainer.simulator import MACHINES
    from asd_trainer.simulator import simulate as write

    with progress_bars("simulate") as progress:
        done = write(
            out,
            machines=tuple(machine or MACHINES),
            sections=tuple(range(sections)),
            train_source=train_source,
            train_target=train_target,
            test_normal=test_normal,
            test_anomaly=test_anomaly,
            seed=seed,
            workers=workers,
            progress=progress,
        )
    if json:
        print_json({"schema": 1, "out": str(out), "written": done.written, "kept": done.kept, "seconds": done.seconds})
    else:
        sys.stdout.write(
            f"{out}: {done.written} clips written, {done.kept} kept, {done.seconds / 3600:.2f} h of sound\n"
        )
