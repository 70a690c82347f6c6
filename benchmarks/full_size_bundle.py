"""A bundle with the paper's autoencoders at full size and next to no training, to measure what they cost.

    python benchmarks/full_size_bundle.py OUT

Recipe `paper` with one step of two clips: the networks, replicas and scorers have their real size, weights are random
and scores mean nothing. About 60 MB and a few minutes on two cores.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from asd_trainer.data.dataset import scan
from asd_trainer.data.simulate import simulate
from asd_trainer.progress import progress_bars
from asd_trainer.recipe import Recipe, load_recipe
from asd_trainer.train import export_run, train_machine

MACHINE, CLIPS = "fan", 8
HARDLY = {"steps": 1, "batch": 2, "warmup_steps": 1, "precision": "float32"}


def full_size_recipe() -> Recipe:
    """The paper's autoencoders, hardly trained."""
    settings = load_recipe("paper").model_dump(mode="json")
    settings["experts"] = [e for e in settings["experts"] if e["kind"] == "autoencoder"]
    for expert in settings["experts"]:
        expert["training"].update(HARDLY)
    return Recipe.model_validate(settings)


def build(out: Path) -> None:
    """Write the bundle."""
    with tempfile.TemporaryDirectory() as work, progress_bars("full size") as progress:
        simulate(
            Path(work, "data"),
            machines=(MACHINE,),
            sections=(0, 1),
            train_source=CLIPS,
            train_target=0,
            test_normal=0,
            test_anomaly=0,
            progress=lambda done, total: progress("clips", done, total),
        )
        run = train_machine(scan(Path(work, "data")), MACHINE, full_size_recipe(), 0, Path(work, "runs"), progress)
        export_run(run, out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build(Path(sys.argv[1]))
