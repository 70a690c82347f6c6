"""asd-trainer table: train every recipe on every data set with the same seeds, and compare them in one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from asd_agent.commands.console import print_json
from asd_trainer.commands.jobs import DryRun, Hours, OnCluster, Workers, job_display, print_notes, print_plan
from asd_trainer.engine.progress import progress_bars


def table(
    data: Annotated[list[Path], typer.Argument(help="Data sets: each a folder for each machine.")],
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            help="Recipes by name or file, with commas or given again, or a file with `recipes: […]`. "
            "Default: the packaged table.yaml."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds, the same for every recipe.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="First seed.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Folder of runs, table.json and table.md.")] = Path("runs"),
    reference: Annotated[
        str | None, typer.Option(help="Recipe that the others are compared with. Default: the first.")
    ] = None,
    machine: Annotated[list[str] | None, typer.Option(help="Only this machine; may be given again.")] = None,
    workers: Workers = 1,
    cluster: OnCluster = None,
    dry_run: DryRun = False,
    hours: Hours = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train and evaluate every recipe on every data set and compare them. An interrupted call is resumed.

    If jobs fail, the table shows the others and the exit code is 1.

    Example: asd-trainer table data --recipes level,quick --out runs
    """
    from asd_agent.whole_files import whole_file, write_json
    from asd_trainer.data.dataset import scan
    from asd_trainer.evaluation.score import evaluations_of
    from asd_trainer.evaluation.table.comparison import check_reference, make_table
    from asd_trainer.evaluation.table.text import markdown, print_table
    from asd_trainer.jobs import JobsFailedError
    from asd_trainer.jobs.plan import make_plan
    from asd_trainer.jobs.train import carry_out
    from asd_trainer.recipes.load import load_recipes

    settings = load_recipes(recipes or [])
    names = [r.name for r in settings]
    against = check_reference(reference, names)
    with progress_bars("table", announced=True) as progress:
        plan = make_plan(
            [scan(root) for root in data],
            settings,
            range(seed, seed + seeds),
            out,
            machines=machine or (),
            evaluations=True,
            progress=progress,
            remember=not dry_run,
        )
    print_notes(plan)
    if dry_run:
        print_plan(plan, hours=hours, json=json)
        return
    failed: JobsFailedError | None = None
    try:
        with job_display(workers, cluster) as (launcher, on_status):
            carry_out(plan, workers=launcher, on_status=on_status)
    except JobsFailedError as error:
        failed = error
    done, missing = evaluations_of(plan)
    if failed is not None and not done:
        raise failed
    found = make_table(done, against, order=names, left_out=[*plan.left_out, *missing])
    write_json(out / "table.json", found.document())
    with whole_file(out / "table.md") as partial:
        partial.write_text(markdown(found), encoding="utf-8")
    if json:
        print_json(found.document())
    else:
        print_table(found, Console(width=None if sys.stdout.isatty() else 150))
        sys.stdout.write(f"{out / 'table.json'}, {out / 'table.md'}\n")
    if failed is not None:
        raise failed
