"""asd-trainer inspect: content of a data set, what it permits, and problems of its files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from asd_agent.commands.console import print_json, warn
from asd_trainer.engine.progress import progress_bars

if TYPE_CHECKING:
    from asd_trainer.data.inspect import InspectionReport

_VALUES = 4
"""Number of values of an attribute that are listed; more are counted."""


def inspect(
    data: Annotated[Path, typer.Argument(help="Data set: a folder for each machine.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Count the clips of a data set, show what they permit, and name every file with a problem.

    Exit code 1 when a file is unreadable, empty, truncated, too short or has NaN, or when nothing can be fitted to a
    machine. Warnings alone give 0.

    Example: asd-trainer inspect data
    """
    from asd_trainer.data.file_check import BROKEN
    from asd_trainer.data.inspect import grouped
    from asd_trainer.data.inspect import inspect as inspect_data

    with progress_bars("inspect") as progress:
        report = inspect_data(data, progress)
    if json:
        print_json(report.document())
    else:
        _print(report)
    for problem in grouped(report.problems):
        if problem.kind in BROKEN:
            sys.stderr.write(f"error: {problem}\n")
        else:
            warn(str(problem))
    for machine in report.unfit:
        sys.stderr.write(f"error: nothing can be fitted to {machine}; see what its clips permit\n")
    if not report.ok:
        raise typer.Exit(1)


def _print(report: InspectionReport) -> None:
    table = Table(
        "machine", "split", "section", "domain", "label", "clips", "recordings", "minutes", "Hz", "attributes"
    )
    for column in table.columns[5:8]:
        column.justify = "right"
    for g in report.groups:
        count = f"{g.clips} ({g.broken} broken)" if g.broken else str(g.clips)
        rates = " ".join(map(str, g.rates))
        attributes = ", ".join(_attribute(name, values) for name, values in g.attributes.items())
        row = (g.machine, g.split, g.section, g.domain or "?", g.label or "?", count, str(g.recordings))
        table.add_row(*row, f"{g.seconds / 60:.1f}", rates, attributes)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    for text in report.permits:
        console.print(text, highlight=False, markup=False)


def _attribute(name: str, values: tuple[str, ...]) -> str:
    return f"{name} " + (" ".join(values) if len(values) <= _VALUES else f"({len(values)} values)")
