"""A search for settings against random search of equal budget and against the recipe as it was set by hand.

Settings are searched on one simulated data set without a look at a label; what is found is then trained and measured on
data sets of other seeds, which no search has seen.

    python benchmarks/search.py --machines fan valve --trials 10 --untouched 2 3 --out /tmp/search-bench
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np

from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.score import evaluate_run
from asd_trainer.jobs.train import train_machine
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.search.study import Sampler, search_machine
from asd_trainer.simulator import simulate


def main() -> None:
    """Search, train what was found, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mahalanobis-search")
    parser.add_argument("--machines", nargs="+", default=["fan", "valve"])
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--searched", type=int, default=1, help="seed of the data set that is searched on")
    parser.add_argument("--untouched", type=int, nargs="+", default=[2, 3], help="seeds of the others")
    parser.add_argument("--out", type=Path, default=Path("search-bench"))
    asked = parser.parse_args()
    recipe = load_recipe(asked.recipe)
    seeds = [asked.searched, *asked.untouched]
    data = {seed: _simulated(asked.out / f"data-{seed}", asked.machines, seed) for seed in seeds}
    rows = []
    for machine in asked.machines:
        candidates: dict[str, Recipe] = {"as set by hand": recipe}
        for sampler in get_args(Sampler):
            found = search_machine(
                scan(data[asked.searched]),
                machine,
                recipe,
                asked.out / "search",
                trials=asked.trials,
                sampler=sampler,
                on_trial=lambda t: sys.stderr.write(f"{t.number} {t.objective} {t.values}\n"),
            )
            candidates[sampler] = found.recipe
            objectives = [found.hand_set, found.best]
            rows.append({"machine": machine, "what": f"{sampler}: objective", "value": objectives})
        for what, candidate in candidates.items():
            values = [_measured(data[seed], machine, candidate, asked.out / f"runs-{seed}") for seed in asked.untouched]
            rows.append({"machine": machine, "what": what, "value": values})
            sys.stderr.write(f"{rows[-1]}\n")
    print(json.dumps({"trials": asked.trials, "untouched": asked.untouched, "rows": rows}, indent=1))
    for what in ("as set by hand", *get_args(Sampler)):
        values = np.array([row["value"] for row in rows if row["what"] == what], dtype=float)
        print(f"{what}: {100 * values.mean():.1f} ± {100 * values.std():.1f} over {values.size} machines and seeds")


def _simulated(out: Path, machines: list[str], seed: int) -> Path:
    simulate(out, machines=machines, sections=(0, 1), seed=seed)
    return out


def _measured(data: Path, machine: str, recipe: Recipe, out: Path) -> float:
    run = train_machine(scan(data), machine, recipe, 0, out)
    return float(evaluate_run(run).document["harmonic_mean"][0])


if __name__ == "__main__":
    main()
