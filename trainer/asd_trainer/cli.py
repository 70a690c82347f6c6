"""The command line of the trainer."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from asd_agent import __version__
from asd_agent.commands.console import run_command
from asd_trainer.commands import (
    bench,
    import_,
    inspect,
    jobs,
    metrics,
    recipes,
    report,
    reproduce,
    search,
    simulate,
    table,
    train,
)

INTERRUPTED = (130, 143)
"""Exit codes after SIGINT and SIGTERM: 128 and the number of the signal."""
RESUMABLE = frozenset({"simulate", "import", "train", "evaluate", "table", "search", "reproduce"})
"""Commands that keep what is done, so that the same command continues."""

app = typer.Typer(
    help="Learns what a healthy machine sounds like and exports bundles for asd-agent.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("simulate")(simulate.simulate)
app.command("inspect")(inspect.inspect)
app.command("import")(import_.import_)
app.command("train")(train.train)
app.command("evaluate")(train.evaluate)
app.command("export")(train.export)
app.command("metrics")(metrics.metrics)
app.command("table")(table.table)
app.command("report")(report.report)
app.command("reproduce")(reproduce.reproduce)
app.command("search")(search.search)
app.add_typer(recipes.app, name="recipes")
app.command("jobs")(jobs.jobs)
app.command("bench")(bench.bench)


_invoked: list[str] = []
"""The command that runs; options such as `--families` may come before its name."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    families: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with a family of your own, which the recipe names; may be given again."),
    ] = None,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    _invoked[:] = [context.invoked_subcommand or ""]
    if not families:
        return
    from asd_trainer.families.registry import OWN_FAMILIES, load_folder

    for folder in families:
        load_folder(folder)
    # The processes that train are started with this environment.
    known = os.environ.get(OWN_FAMILIES, "").split(os.pathsep)
    folders = [str(folder.resolve()) for folder in families]
    os.environ[OWN_FAMILIES] = os.pathsep.join(dict.fromkeys(filter(None, [*folders, *known])))


def main() -> None:
    """Entry point of `asd-trainer`."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        run_command("asd-trainer", app)
    except SystemExit as error:
        if error.code in INTERRUPTED and not RESUMABLE.isdisjoint(_invoked):
            sys.stderr.write("asd-trainer: interrupted. Run the same command again to continue from here.\n")
        raise


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)
