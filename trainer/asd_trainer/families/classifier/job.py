"""What one job of a classifier does: a section's network, its tuning to the target domain, and their graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asd_trainer.data.clip_sounds import hear, hear_clips
from asd_trainer.data.dataset import scan
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section, held_out_of_machine
from asd_trainer.families.classifier.pseudo_anomalies import gather
from asd_trainer.families.settings import ClassifierExpert
from asd_trainer.jobs import Task
from asd_trainer.recipes.recipe import Recipe

if TYPE_CHECKING:
    from asd_trainer.engine.progress import StepProgress

SOURCE_GRAPH, TARGET_GRAPH, LEFT_OUT = "model.onnx", "target.onnx", "left-out.npy"
"""Files of a job: the source's network, the one tuned to the target, and what networks that were tuned without some of
the target clips observe of these, shape (target clips, crops, dimensions)."""

WITHOUT = "without-"
"""Where such a network's training lies, before the number of the fold that it was tuned without."""


def train_section(
    task: Task,
    machine: str,
    section: str,
    part: dict[str, Any],
    seed: int,
    fold: int,
    member_seed: int,
    data: str,
    outliers: str | None = None,
) -> dict[str, Any]:
    """A job: train one section's classifier, tune it to the section's target clips, and export both.

    Raises:
        DataError: The clips do not permit it.
        ConfigError: The folder of pseudo-anomalies is not there, or there is no such backbone.
        DivergedError: The training diverged.
        ExportError: An exported graph computes something else.
    """
    from asd_trainer.engine.onnx_export import export_network
    from asd_trainer.families.classifier.learning import observations
    from asd_trainer.families.classifier.training import load_classifier, train_classifier, tune_classifier

    recipe = Recipe.model_validate(part)
    expert = recipe.classifier()
    everything = scan(Path(data)).select(split="train", label="normal")
    own = [c for c in everything if c.machine == machine]
    held_out = held_out_of_machine(own, recipe.held_out, seed, fold)
    learnt = [c for c in by_section(own, "source")[section] if c.path.name not in held_out]
    target_clips = by_section(own, "target").get(section, [])
    spec = recipe.features_of(expert)
    normal, target = hear_clips(learnt, spec), hear_clips(target_clips, spec)
    wanted = expert.outliers if outliers is None else recipe.with_outliers_in(Path(outliers)).classifier().outliers
    chosen = gather(wanted, section, machine, everything, normal.samples, member_seed)
    other = hear(chosen.samples, chosen.names, spec)
    steps = _Stages(task, expert, len(target_clips))
    folder = task.folder
    source = train_classifier(
        normal, other, recipe, expert, folder / "source", seed=member_seed, progress=steps.stage()
    )
    off_by = export_network(load_classifier(source), folder / SOURCE_GRAPH)
    if expert.tuning is not None and target_clips:
        seen = np.empty(0, np.float32)
        for number, left_out in enumerate(folds_of(target_clips, expert.tuning.folds)):
            network, sets = source, (target.without(left_out), normal, other)
            if len(sets[0]):  # of a single clip nothing is left: the network that knows no target judges it
                out, told = folder / f"{WITHOUT}{number}", steps.stage()
                network = tune_classifier(source, *sets, recipe, expert, out, seed=member_seed, progress=told)
            found = observations(load_classifier(network), target.features[left_out])
            seen = seen if len(seen) else np.empty((len(target), *found.shape[1:]), np.float32)
            seen[left_out] = found
        np.save(folder / LEFT_OUT, seen)
        tuned = tune_classifier(
            source,
            target,
            normal,
            other,
            recipe,
            expert,
            folder / "target",
            seed=member_seed,
            progress=steps.stage(),
        )
        off_by = max(off_by, export_network(load_classifier(tuned), folder / TARGET_GRAPH))
    kinds = {kind: chosen.kinds.count(kind) for kind in sorted(set(chosen.kinds))}
    return {"clips": len(learnt), "target_clips": len(target_clips), "outliers": kinds, "off_by": off_by}


def folds_of(clips: Sequence[Clip], most: int) -> list[npt.NDArray[np.intp]]:
    """Indices of clips to leave out together, by recording; at most so many folds, all clips in one of them."""
    names = sorted({c.recording for c in clips})
    place = {name: i % min(most, len(names)) for i, name in enumerate(names)}
    where = np.array([place[c.recording] for c in clips])
    return [np.flatnonzero(where == fold) for fold in range(min(most, len(names)))]


class _Stages:
    """Progress of several trainings as steps of one whole."""

    def __init__(self, task: Task, expert: ClassifierExpert, target_clips: int) -> None:
        tuning = expert.tuning
        tunings = 1 + min(tuning.folds, target_clips) if tuning is not None and target_clips else 0
        self._task, self._before, self._last = task, 0, 0
        self._total = expert.training.steps + (tunings * tuning.steps if tuning is not None else 0)

    def stage(self) -> StepProgress:
        """The progress of the next of them."""
        self._before += self._last
        before = self._before

        def told(step: int, steps: int, loss: float, seconds: float) -> None:
            self._last = steps
            left = seconds / max(steps - step, 1) * (self._total - before - step) if step < steps else 0.0
            self._task.progress(before + step, self._total, loss, left)

        return told
