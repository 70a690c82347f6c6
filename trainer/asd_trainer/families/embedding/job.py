"""A job: one embedding network for all machines of a data set, trained and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asd_trainer.data.attribute_classes import class_set, learnt_clips
from asd_trainer.data.dataset import scan
from asd_trainer.jobs import Task
from asd_trainer.jobs.train import GRAPH
from asd_trainer.recipes.recipe import Recipe


def train_embedding_network(
    task: Task, part: dict[str, Any], seed: int, fold: int, member_seed: int, data: str
) -> dict[str, Any]:
    """Train one network and export it.

    Raises:
        DataError: The clips do not permit it.
        DivergedError: The training diverged.
        ExportError: The exported graph computes something else.
    """
    from asd_trainer.engine.onnx_export import export_network
    from asd_trainer.families.embedding.training import load_embedding, train_embedding

    recipe = Recipe.model_validate(part)
    clips = scan(Path(data)).select(split="train", label="normal")
    learnt = class_set(learnt_clips(clips, recipe.held_out, seed, fold))
    final = train_embedding(learnt, recipe, recipe.embedding(), task.folder, seed=member_seed, progress=task.progress)
    difference = export_network(load_embedding(final), task.folder / GRAPH)
    return {"clips": len(learnt.names), "classes": learnt.classes, "off_by": difference}
