"""asd-trainer report: one HTML page about evaluated runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from asd_agent.commands.console import print_json
from asd_agent.errors import DataError
from asd_trainer.engine.progress import progress_bars


def report(
    runs: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="HTML file to write. Default: RUNS/report.html.")] = None,
    machine: Annotated[list[str] | None, typer.Option(help="Only this machine; may be given again.")] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="Only this recipe; may be given again.")] = None,
    reference: Annotated[str | None, typer.Option(help="Recipe that the others are compared with.")] = None,
    clips: Annotated[int, typer.Option(help="Misses and false alarms to show of each section and domain.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write one HTML page about evaluated runs: weak sections, reasons, and wrongly judged clips with their sound.

    The page needs no network. Its table has every run; the first seed of each recipe is shown in detail.

    Example: asd-trainer report runs --machine fan
    """
    from asd_trainer.evaluation.score import read_evaluation
    from asd_trainer.jobs.runs import find_runs, read_summary
    from asd_trainer.report import write_report

    found = [r for r in find_runs(runs) if not machine or r.machine in machine]
    found = [r for r in found if not recipe or r.recipe in recipe]
    evaluated = [read_evaluation(r) for r in found if read_summary(r) is not None]
    if not evaluated:
        raise DataError(f"{runs}: has no such evaluated run", "Run asd-trainer evaluate.")
    page = out or runs / "report.html"
    with progress_bars("report") as progress:
        write_report(evaluated, page, reference=reference, clips=clips, progress=progress)
    if json:
        print_json({"schema": 1, "report": str(page), "runs": len(evaluated)})
    else:
        sys.stdout.write(f"{page}\n")
