"""A bundle with the paper's networks at full size and next to no training, to measure what they cost.

    python benchmarks/full_size_bundle.py OUT
    python benchmarks/full_size_bundle.py OUT --recipe paper-bc-ens

The recipe with one step of two clips: networks, replicas and scorers have their real size, weights are random and
scores mean nothing. `paper`, three autoencoders, takes 60 MB and a few minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from asd_trainer.data.dataset import scan
from asd_trainer.engine.progress import progress_bars
from asd_trainer.jobs.train import export_run, train_machine
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.simulator import simulate

MACHINE, CLIPS = "fan", 8
HARDLY = {"steps": 1, "epochs": 1, "warmup_steps": 1, "batch": 2, "precision": "float32"}


def full_size_recipe(name: str = "paper") -> Recipe:
    """The paper's networks, hardly trained, and nothing tuned."""
    settings = load_recipe(name).model_dump(mode="json")
    for expert in settings["experts"]:
        if "training" not in expert:
            continue
        expert["training"].update({name: value for name, value in HARDLY.items() if name in expert["training"]})
        if "tuning" in expert:
            expert["tuning"] = None
    return Recipe.model_validate(settings)


def build(out: Path, name: str = "paper") -> None:
    """Write the bundle of a recipe."""
    with tempfile.TemporaryDirectory() as work, progress_bars("full size") as progress:
        simulate(
            Path(work, "data"),
            machines=(MACHINE,),
            sections=(0, 1),
            train_source=CLIPS,
            train_target=0,
            test_normal=0,
            test_anomaly=0,
            progress=progress,
        )
        data = scan(Path(work, "data"))
        run = train_machine(data, MACHINE, full_size_recipe(name), 0, Path(work, "runs"), progress)
        export_run(run, out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="paper", help="such as `paper-bc-ens`, `paper-mix` or `best`")
    asked = parser.parse_args()
    build(asked.out, asked.recipe)


if __name__ == "__main__":
    main()
