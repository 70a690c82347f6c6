"""asd-trainer train, evaluate and export: the steps from clips to a bundle, each repeatable alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from asd_agent.commands.console import print_json
from asd_agent.errors import DataError, UsageError
from asd_trainer.commands.jobs import DryRun, Hours, OnCluster, Workers, job_display, print_notes, print_plan
from asd_trainer.engine.progress import progress_bars

if TYPE_CHECKING:
    from asd_trainer.jobs.pruning import Pruned
    from asd_trainer.jobs.runs import Run

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Machine = Annotated[list[str] | None, typer.Option(help="Only this machine; may be given again.")]


def train(
    data: Annotated[Path, typer.Argument(help="Data set: a folder for each machine.")],
    recipe: Annotated[str, typer.Option(help="Name of a packaged recipe, or a file.")] = "quick",
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    machine: _Machine = None,
    seed: Annotated[int, typer.Option(help="The first seed.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds, each a run of its own.", min=1)] = 1,
    members_by_labels: Annotated[
        int | None,
        typer.Option(
            help="Use the best 2, 3, 5, 10 or 20 members for each domain, by the labelled test clips of sections "
            "00 to 02 as in the paper; the recipe's name and every report state it."
        ),
    ] = None,
    workers: Workers = 1,
    cluster: OnCluster = None,
    dry_run: DryRun = False,
    hours: Hours = False,
    json: _Json = False,
) -> None:
    """Train one bundle a machine and seed. What is finished is kept, what was interrupted goes on.

    Example: asd-trainer train data --recipe quick --machine fan --out runs
    """
    from asd_trainer.data.dataset import scan
    from asd_trainer.jobs.plan import make_plan
    from asd_trainer.jobs.train import carry_out
    from asd_trainer.recipes.load import load_recipe

    settings = load_recipe(recipe)
    if members_by_labels is not None:
        settings = settings.choosing_by_labels(members_by_labels)
    with progress_bars("train", announced=True) as progress:
        plan = make_plan(
            [scan(data)],
            [settings],
            range(seed, seed + seeds),
            out,
            machines=machine or (),
            progress=progress,
            remember=not dry_run,
        )
    print_notes(plan)
    if dry_run:
        print_plan(plan, hours=hours, json=json)
        return
    with job_display(workers, cluster) as (launcher, on_status):
        runs = carry_out(plan, workers=launcher, on_status=on_status)
    if json:
        rows = [{"machine": r.machine, "seed": r.seed, "recipe": r.recipe, "bundle": str(r.bundle)} for r in runs]
        print_json({"schema": 1, "runs": rows})
    else:
        for run in runs:
            sys.stdout.write(f"{run.machine}, seed {run.seed}: {run.bundle}\n")


def evaluate(
    runs: Annotated[Path, typer.Argument(help="Where runs are kept.")] = Path("runs"),
    machine: _Machine = None,
    reference: Annotated[str | None, typer.Option(help="Recipe that the others are compared with.")] = None,
    workers: Workers = 1,
    cluster: OnCluster = None,
    json: _Json = False,
) -> None:
    """Score the test clips of every run and measure AUC and pAUC the official way.

    Submission files and result.csv are written beside each run; what was scored before is not scored again.

    Example: asd-trainer evaluate runs
    """
    from asd_trainer.evaluation.score import evaluate_runs, summary
    from asd_trainer.evaluation.table.comparison import make_table
    from asd_trainer.evaluation.table.text import cells_table, print_table
    from asd_trainer.jobs.runs import find_runs

    found = [r for r in find_runs(runs) if not machine or r.machine in machine]
    if not found:
        raise DataError(f"{runs}: holds no run of {', '.join(machine or [])}", "Train it first.")
    with job_display(workers, cluster) as (launcher, on_status):
        evaluations = evaluate_runs(found, workers=launcher, on_status=on_status)
    table = make_table(evaluations, reference)
    if json:
        print_json({"schema": 1, "runs": [summary(e) for e in evaluations], "table": table.document()})
        return
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(cells_table(evaluations))
    print_table(table, console)


def export(
    runs: Annotated[Path, typer.Argument(help="Where runs are kept.")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Where bundles go, a folder a machine.")] = Path("exported_models"),
    recipe: Annotated[str | None, typer.Option(help="Of which recipe, where there are several.")] = None,
    seed: Annotated[int, typer.Option(help="Of which seed.")] = 0,
    machine: _Machine = None,
    members: Annotated[int | None, typer.Option(help="Keep so many of an ensemble's members.", min=1)] = None,
    agreement: Annotated[
        float | None,
        typer.Option(
            help="Keep as few as order normal clips like all of them, up to this rank correlation.", min=0.01, max=1
        ),
    ] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(
            help="Keep as many as a window's processor time allows, in milliseconds on this machine.", min=0.01
        ),
    ] = None,
    json: _Json = False,
) -> None:
    """Copy the bundles of a recipe to where the agent takes them from, once their golden windows pass.

    With --members, --agreement or --budget-ms an ensemble is pruned: the members that together judge held-out normal
    clips most as all of them do are kept, and scorers and thresholds are fitted to them anew.

    Example: asd-trainer export runs --recipe ae-ens --agreement 0.95 --out exported_models
    """
    from asd_agent.alarm.faults_found import found_text
    from asd_agent.alarm.rate import rate_text
    from asd_trainer.jobs.runs import find_runs, read_summary
    from asd_trainer.jobs.train import export_run

    if sum(v is not None for v in (members, agreement, budget_ms)) > 1:
        raise UsageError(
            "--members, --agreement and --budget-ms each determine how many members are kept", "Give one of them."
        )
    found = [r for r in find_runs(runs) if r.seed == seed and (not machine or r.machine in machine)]
    recipes = sorted({r.recipe for r in found})
    if recipe is None and len(recipes) > 1:
        raise UsageError(f"{runs}: holds runs of several recipes", f"Name one with --recipe: {', '.join(recipes)}.")
    chosen = [r for r in found if recipe in (None, r.recipe)]
    if not chosen:
        raise DataError(
            f"{runs}: holds no run with seed {seed}" + (f" of recipe {recipe}" if recipe else ""), "Train it."
        )
    rows: list[dict[str, Any]] = []
    for run in chosen:
        pruned = _pruned(run, members, agreement, budget_ms)
        metrics = read_summary(run) if pruned is None else {"pruned": pruned.document()}
        bundle = export_run(run if pruned is None else pruned.run, out / run.machine, metrics)
        rows.append({"machine": run.machine, "bundle": str(bundle.path), "digest": bundle.digest})
        rows[-1] |= {} if pruned is None else {"pruned": pruned.document()}
        if not json:
            sys.stdout.write(f"{run.machine}: {bundle.path} ({bundle.digest[:12]})\n")
            sys.stdout.write("" if pruned is None else f"{_words(pruned)}\n")
            for c in bundle.manifest.conditions:
                sys.stdout.write(f"{c.section} {c.domain}: {rate_text(c.threshold)}\n")
                if faults := found_text(bundle.manifest.metrics, c.section, c.domain):
                    sys.stdout.write(f"{c.section} {c.domain}: {faults}\n")
    if json:
        print_json({"schema": 1, "bundles": rows})


def _pruned(run: Run, members: int | None, agreement: float | None, budget_ms: float | None) -> Pruned | None:
    """The run with fewer members, where fewer are asked for."""
    if members is None and agreement is None and budget_ms is None:
        return None
    from asd_trainer.jobs.pruning import member_costs, prune_run, within_budget
    from asd_trainer.jobs.runs import read_settings
    from asd_trainer.recipes.recipe import Prune

    settings = read_settings(run)
    costs = None
    with job_display(1) as (_, on_status):
        if budget_ms is not None:
            order = prune_run(run, settings, Prune(members=1), on_status).order
            costs = member_costs(run, order)
            members = within_budget(order, costs, budget_ms)
        return replace(prune_run(run, settings, Prune(members=members, agreement=agreement), on_status), costs=costs)


def _words(pruned: Pruned) -> str:
    """Print the members kept, the agreement with all at each number of members and, with a budget, their costs here."""
    order = pruned.order
    agreed = order.agreement[pruned.kept - 1]
    lines = [f"  {pruned.kept} of {len(order.members)} members, agreement {agreed:.3f} over {order.clips} normal clips"]
    for n, (member, agreement) in enumerate(zip(order.members, order.agreement, strict=True), 1):
        costs = pruned.costs
        spent = f", a window {costs.of(order.members[:n]):.1f} ms" if costs is not None else ""
        kept = "kept" if n <= pruned.kept else "left out"
        lines.append(f"    {n} {member}: {kept}, agreement so far {agreement:.3f}{spent}")
    return "\n".join(lines)
