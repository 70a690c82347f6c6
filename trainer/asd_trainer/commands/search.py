"""asd-trainer search: search for better settings of a recipe for one machine."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_agent.commands.console import print_json
from asd_agent.errors import UsageError

if TYPE_CHECKING:
    from asd_agent.bundle.manifest import DomainName
    from asd_trainer.search.study import Objective, Sampler, SearchResult, TrialResult


def search(
    data: Annotated[Path, typer.Argument(help="Root of the data set.")],
    recipe: Annotated[str, typer.Option(help="Name of a recipe with `search:`, or its file.")],
    machine: Annotated[str, typer.Option(help="Machine type.")],
    domain: Annotated[str | None, typer.Option(help="source or target: only its scores count. Default: both.")] = None,
    trials: Annotated[int, typer.Option(help="Number of trials; the first is the original recipe.", min=2)] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the sampler and first seed of the runs.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="Runs of each trial; poor trials end after the first.", min=1)] = 1,
    by_labels: Annotated[
        bool,
        typer.Option(
            "--by-labels",
            help="Decide by the labelled test clips of sections 00 to 02, as in the paper; the recipe states it.",
        ),
    ] = False,
    sampler: Annotated[str, typer.Option(help="tpe or random.")] = "tpe",
    out: Annotated[Path, typer.Option(help="Folder of the trials and of the best recipe.")] = Path("search"),
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Try settings from the `search:` of a recipe and write the best as a recipe. An interrupted search is resumed.

    Example: asd-trainer search data --recipe mahalanobis-search --machine fan --trials 20
    """
    from asd_trainer.data.dataset import scan
    from asd_trainer.recipes.load import load_recipe
    from asd_trainer.search.study import search_machine

    where = _domain(domain)
    how = _sampler(sampler)
    found = scan(data)
    if machine not in found.machines:
        raise UsageError(f"{data}: has no machine {machine!r}", f"It has: {', '.join(found.machines)}.")
    objective: Objective = "labels" if by_labels else "altered"

    def report(one: TrialResult) -> None:
        value = one.state if one.objective is None else f"{one.objective:.4f}"
        values = ", ".join(f"{place} {v}" for place, v in one.values.items()) or "the original recipe"
        sys.stderr.write(f"trial {one.number + 1}: {value}  {values}\n")

    result = search_machine(
        found,
        machine,
        load_recipe(recipe),
        out,
        domain=where,
        trials=trials,
        seed=seed,
        seeds=seeds,
        objective=objective,
        sampler=how,
        on_trial=report,
    )
    if json:
        print_json(_document(result, objective))
    else:
        hand_set = "failed" if result.hand_set is None else f"{result.hand_set:.4f}"
        sys.stdout.write(
            f"{result.path}: {result.best:.4f}, the original recipe {hand_set} "
            f"({len(result.tried)} trials, by {objective})\n"
        )


def _document(found: SearchResult, objective: Objective) -> dict[str, Any]:
    return {
        "schema": 1,
        "recipe": str(found.path),
        "objective": objective,
        "best": found.best,
        "hand_set": found.hand_set,
        "trials": [asdict(t) for t in found.tried],
    }


def _domain(name: str | None) -> DomainName | None:
    if name not in (None, "source", "target"):
        raise UsageError(f"--domain {name!r} is unknown", "Give source or target, or leave it out.")
    return None if name is None else "source" if name == "source" else "target"


def _sampler(name: str) -> Sampler:
    if name not in ("tpe", "random"):
        raise UsageError(f"--sampler {name!r} is unknown", "Give tpe or random.")
    return "random" if name == "random" else "tpe"
