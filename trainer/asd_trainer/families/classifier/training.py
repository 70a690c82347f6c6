"""Training a binary classifier for a section, and its tuning to the target domain (sections 2.2 and 3.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.errors import DataError
from asd_trainer.data.clip_sounds import Sounds
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.loop import TrainingSchedule, train_steps
from asd_trainer.engine.precision import tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import one_cycle
from asd_trainer.families.autoencoder.training import band_statistics, choose_device
from asd_trainer.families.classifier.learning import KIND, Learning, Plan
from asd_trainer.families.classifier.network import Classifier, ClassifierShape
from asd_trainer.families.settings import ClassifierExpert
from asd_trainer.recipes.recipe import Recipe

ARITHMETIC = 2
"""Raised when the same inputs give another network than before."""


def train_classifier(
    normal: Sounds,
    outliers: Sounds,
    recipe: Recipe,
    expert: ClassifierExpert,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train the source domain's network, going on where an earlier call was interrupted.

    Args:
        normal: The section's source clips.
        outliers: Pseudo-anomalies.
        recipe: Device, front end and checkpoints.
        expert: The member's settings.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Of weights, batches, augmentation and dropout.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: No clips on one of the sides, one that is not finite, or windows too short for a crop.
        CheckpointError: `out` holds a training with other inputs.
        ConfigError: There is no such backbone, or the weights are not its.
        DivergedError: The training diverged.
        AsdError: The recipe wants CUDA and there is none.
    """
    sets = [normal, outliers]
    _check(sets, expert)
    checkpoints = Checkpoints(out, _digest(sets, expert, seed, ""))

    def begin() -> Classifier:
        model = Classifier(_shape(normal, expert), expert.network.weights)
        model.set_normalisation(*band_statistics(normal.features, normal.names))
        return model

    plan = Plan(expert.training.steps, expert.training.learning_rate, 0)
    return _learn(begin, sets, plan, checkpoints, recipe, expert, out, seed, progress)


def tune_classifier(
    source: Path,
    target: Sounds,
    normal: Sounds,
    outliers: Sounds,
    recipe: Recipe,
    expert: ClassifierExpert,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train the source domain's network on, for the target domain.

    Each batch holds `target_items` normal items that are target clips mixed with source clips.

    Args:
        source: Checkpoint of `train_classifier`.
        target: The section's target clips.
        normal: As for `train_classifier`, as are the others.
        outliers: See there.
        recipe: See there.
        expert: See there.
        out: See there.
        seed: See there.
        progress: See there.

    Raises:
        DataError: As above.
        CheckpointError: As above, or `source` is no classifier's.
        DivergedError: The training diverged.
        AsdError: As above, or the expert does not want it.
    """
    tuning = expert.tuning
    if tuning is None:
        raise DataError("the recipe wants no tuning to the target domain", "Give its classifier `tuning:`.")
    sets = [normal, target, outliers]
    _check(sets, expert)
    begun = hashlib.sha256(source.read_bytes()).hexdigest()
    checkpoints = Checkpoints(out, _digest(sets, expert, seed, begun))
    plan = Plan(tuning.steps, tuning.rate * expert.training.learning_rate, tuning.target_items)
    return _learn(lambda: load_classifier(source), sets, plan, checkpoints, recipe, expert, out, seed, progress)


def load_classifier(checkpoint: Path) -> Classifier:
    """The trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not a classifier's.
    """
    state = read_checkpoint(checkpoint)
    if state.get("kind") != KIND:
        raise CheckpointError(f"{checkpoint}: is not a classifier's checkpoint", "Name one.")
    model = Classifier(ClassifierShape.model_validate(state["shape"]))
    model.load_state_dict(state["model"])
    return model.eval()


def _learn(
    begin: Callable[[], Classifier],
    sets: Sequence[Sounds],
    plan: Plan,
    checkpoints: Checkpoints,
    recipe: Recipe,
    expert: ClassifierExpert,
    out: Path,
    seed: int,
    progress: StepProgress | None,
) -> Path:
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(recipe.device)
    with own_randomness(device, deterministic=recipe.deterministic), tensor_cores(expert.training):
        chance = TrainingRandomness(seed, device)
        learning = Learning(begin().to(device), sets, plan, recipe, expert, chance)
        course = TrainingSchedule(
            plan.steps,
            plan.peak,
            one_cycle(plan.steps),
            betas=(0.9, 0.999),
            eps=1e-8,
            clip_norm=expert.training.clip_norm,
        )
        train_steps(
            learning.trainee(seed),
            course,
            checkpoints,
            folder=out,
            checkpoint_every=recipe.checkpoint_every,
            progress=progress,
        )
    return checkpoints.final


def _shape(normal: Sounds, expert: ClassifierExpert) -> ClassifierShape:
    network = expert.network
    return ClassifierShape(
        n_mels=normal.features.shape[2],
        total_frames=normal.features.shape[1],
        frames=network.frames,
        crops=network.crops,
        backbone=network.backbone,
        embedding=network.embedding,
        dropout=network.dropout,
    )


def _check(sets: Sequence[Sounds], expert: ClassifierExpert) -> None:
    for sounds in sets:
        if len(sounds) == 0:
            raise DataError("a classifier needs normal sounds and pseudo-anomalies", "Give it both.")
        for clip, name in zip(sounds.features, sounds.names, strict=True):
            if not np.isfinite(clip).all():
                raise DataError(f"clip {name} has features that are not finite", "Remove or mend that recording.")
    frames = sets[0].features.shape[1]
    if frames < expert.network.frames:
        raise DataError(
            f"windows of {frames} frames are shorter than the {expert.network.frames} of a crop",
            "Give the recipe a shorter hop_length or fewer frames.",
        )


def _digest(sets: Sequence[Sounds], expert: ClassifierExpert, seed: int, begun: str) -> str:
    """Digest of all that decides the weights, besides the device."""
    settings: Mapping[str, Any] = expert.learnt().model_dump(mode="json")
    head = {"arithmetic": ARITHMETIC, "settings": settings, "seed": seed, "begun": begun}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for sounds in sets:
        digest.update(f"{len(sounds)} clips".encode())
        digest.update(np.ascontiguousarray(sounds.samples).tobytes())
    return digest.hexdigest()
