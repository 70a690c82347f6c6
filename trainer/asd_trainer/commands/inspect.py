"""asd-trainer inspect: what a data set holds, what it permits, and what is wrong with its files."""

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
    from asd_trainer.data.inspect import Report

_VALUES = 4
"""Values of an attribute that are listed; more are counted."""


def inspect(
    data: Annotated[Path, typer.Argument(help="Data set: a folder for each machine.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Count what a data set holds, say what it permits, and name every file that something is wrong with.

    Exit code 1 when a file is unreadable, empty, truncated, too short or holds NaN; warnings alone give 0.

    Example: asd-trainer inspect data
    """
    from asd_trainer.data.inspect import BROKEN, gathered
    from asd_trainer.data.inspect import inspect as look_into

    with progress_bars("inspect") as progress:
        report = look_into(data, progress)
    if json:
        print_json(report.document())
    else:
        _print(report)
    for problem in gathered(report.problems):
        if problem.kind in BROKEN:
            sys.stderr.write(f"error: {problem}\n")
        else:
            warn(str(problem))
    if report.broken:
        raise typer.Exit(1)


def _print(report: Report) -> None:
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
