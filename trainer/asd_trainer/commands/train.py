"""asd-trainer train, evaluate and export: the steps from clips to a bundle, each repeatable alone."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.console import print_json
from asd_agent.errors import DataError, UsageError
from asd_trainer.progress import progress_bars

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Machine = Annotated[list[str] | None, typer.Option(help="Only this machine; may be given again.")]


def train(
    data: Annotated[Path, typer.Argument(help="Data set: a folder for each machine.")],
    recipe: Annotated[str, typer.Option(help="Name of a packaged recipe, or a file.")] = "quick",
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    machine: _Machine = None,
    seed: Annotated[int, typer.Option(help="The first seed.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds, each a run of its own.", min=1)] = 1,
    json: _Json = False,
) -> None:
    """Train one bundle a machine and seed. What is finished is kept, what was interrupted goes on.

    Example: asd-trainer train data --recipe quick --machine fan --out runs
    """
    from asd_trainer.data.dataset import scan
    from asd_trainer.recipe import load_recipe
    from asd_trainer.train import train_machine

    settings = load_recipe(recipe)
    found = scan(data)
    wanted = machine or found.machines
    for name in wanted:
        if name not in found.machines:
            raise UsageError(f"{data}: has no machine {name!r}", f"It has: {', '.join(found.machines)}.")
    rows: list[dict[str, Any]] = []
    for number in range(seed, seed + seeds):
        for name in wanted:
            with progress_bars(f"{name} seed {number}") as progress:
                run = train_machine(found, name, settings, number, out, progress)
            rows.append({"machine": name, "seed": number, "recipe": settings.name, "bundle": str(run.bundle)})
            if not json:
                sys.stdout.write(f"{name}, seed {number}: {run.bundle}\n")
    if json:
        print_json({"schema": 1, "runs": rows})


def evaluate(
    runs: Annotated[Path, typer.Argument(help="Where runs are kept.")] = Path("runs"),
    machine: _Machine = None,
    json: _Json = False,
) -> None:
    """Score the test clips of every run and measure AUC and pAUC the official way.

    Submission files and result.csv are written beside each run.

    Example: asd-trainer evaluate runs
    """
    from asd_trainer.evaluate import evaluate_run, summary
    from asd_trainer.train import find_runs

    summaries: list[dict[str, Any]] = []
    for run in find_runs(runs):
        if machine and run.machine not in machine:
            continue
        with progress_bars(f"{run.machine} seed {run.seed}") as progress:
            summaries.append(summary(evaluate_run(run, progress)))
    if not summaries:
        raise DataError(f"{runs}: holds no run of {', '.join(machine or [])}", "Train it first.")
    if json:
        print_json({"schema": 1, "runs": summaries})
    else:
        _print_table(summaries)


def export(
    runs: Annotated[Path, typer.Argument(help="Where runs are kept.")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Where bundles go, a folder a machine.")] = Path("exported_models"),
    recipe: Annotated[str | None, typer.Option(help="Of which recipe, where there are several.")] = None,
    seed: Annotated[int, typer.Option(help="Of which seed.")] = 0,
    machine: _Machine = None,
    json: _Json = False,
) -> None:
    """Copy the bundles of a recipe to where the agent takes them from, once their golden windows pass.

    Example: asd-trainer export runs --recipe quick --out exported_models
    """
    from asd_trainer.evaluate import read_summary
    from asd_trainer.train import export_run, find_runs

    found = [r for r in find_runs(runs) if r.seed == seed and (not machine or r.machine in machine)]
    recipes = sorted({r.recipe for r in found})
    if recipe is None and len(recipes) > 1:
        raise UsageError(f"{runs}: holds runs of several recipes", f"Name one with --recipe: {', '.join(recipes)}.")
    chosen = [r for r in found if recipe in (None, r.recipe)]
    if not chosen:
        raise DataError(
            f"{runs}: holds no run with seed {seed}" + (f" of recipe {recipe}" if recipe else ""), "Train it."
        )
    rows = []
    for run in chosen:
        bundle = export_run(run, out / run.machine, read_summary(run))
        rows.append({"machine": run.machine, "bundle": str(bundle.path), "digest": bundle.digest})
        if not json:
            sys.stdout.write(f"{run.machine}: {bundle.path} ({bundle.digest[:12]})\n")
    if json:
        print_json({"schema": 1, "bundles": rows})


def _print_table(summaries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from asd_trainer.metrics.roc import harmonic_mean

    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table("recipe", "machine", "section", "domain", "clips", "AUC %", "pAUC %", "false alarms %", "found %")
    for column in table.columns[4:]:
        column.justify = "right"
    by_recipe: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in summaries:
        key = f"{one['recipe']} seed {one['seed']}"
        for c in one["cells"]:
            by_recipe[one["recipe"], one["seed"]] += [c["auc"][0], c["pauc"][0]]
            table.add_row(
                key,
                one["machine"],
                c["section"],
                c["domain"],
                f"{c['normal']}+{c['anomalous']}",
                _percent(c["auc"]),
                _percent(c["pauc"]),
                f"{100 * c['false_alarm_rate']:.0f}" if c["false_alarm_rate"] is not None else "",
                f"{100 * c['recall']:.0f}" if c["recall"] is not None else "",
            )
    console.print(table)
    for (recipe, seed), values in by_recipe.items():
        console.print(f"{recipe} seed {seed}: harmonic mean over AUC and pAUC {100 * harmonic_mean(values):.2f} %")
    for one in summaries:
        for line in one["left_out"]:
            sys.stderr.write(f"left out: {line}\n")


def _percent(interval: list[float]) -> str:
    value, low, high = (100 * v for v in interval)
    return f"{value:.1f} ({low:.0f}–{high:.0f})"
