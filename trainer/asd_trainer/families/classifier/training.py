"""Training of a section's binary classifier, and its tuning to the target domain (sections 2.2 and 3.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.errors import DataError
from asd_trainer.data.clips import ClipSet, check_finite
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.loop import TrainingSchedule, train_steps
from asd_trainer.engine.precision import choose_device, tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import one_cycle
from asd_trainer.families.classifier.network import Classifier, ClassifierShape
from asd_trainer.families.classifier.objective import KIND, ClassifierObjective, Stage
from asd_trainer.families.classifier.settings import ClassifierExpert
from asd_trainer.families.settings import Execution

ARITHMETIC = 3
"""Raised when the same inputs give another network than before. 2: the one-cycle schedule also moves the first beta. 3:
items of different sides are mixed in the tuning to the target alone."""


def train_classifier(
    normal: ClipSet,
    pseudo_anomalies: ClipSet,
    expert: ClassifierExpert,
    execution: Execution,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train the source domain's network, resuming where an earlier call was interrupted.

    Args:
        normal: The section's source clips, with samples and log-mels as have the others.
        pseudo_anomalies: Clips on the other side.
        expert: Settings of the member, with its front end.
        execution: Device, repeatability and checkpoints.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Seed of weights, batches, augmentation and dropout.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: One of the sides has no clips, a clip is not finite, or windows are too short for a crop.
        CheckpointError: `out` holds a training with other inputs.
        ConfigError: There is no such backbone, or the file does not hold its weights.
        DivergedError: The training diverged.
        AsdError: The execution wants CUDA and there is none.
    """
    sets = [normal, pseudo_anomalies]
    _check(sets, expert)
    checkpoints = Checkpoints(out, _digest(sets, expert, seed, ""))

    def begin() -> Classifier:
        model = Classifier(_shape(normal, expert), expert.network.weights)
        model.set_normalisation(*normal.band_statistics())
        return model

    stage = Stage(expert.training.steps, expert.training.learning_rate, 0)
    return _learn(begin, sets, stage, checkpoints, expert, execution, out, seed, progress)


def tune_classifier(
    source: Path,
    target: ClipSet,
    normal: ClipSet,
    pseudo_anomalies: ClipSet,
    expert: ClassifierExpert,
    execution: Execution,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Continue the training of the source domain's network, for the target domain.

    Each batch holds `target_items` normal items that are target clips mixed with source clips.

    Args:
        source: Checkpoint of `train_classifier`.
        target: The section's target clips.
        normal: As for `train_classifier`, as are the others.
        pseudo_anomalies: See there.
        expert: See there.
        execution: See there.
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
    sets = [normal, target, pseudo_anomalies]
    _check(sets, expert)
    begun = hashlib.sha256(source.read_bytes()).hexdigest()
    checkpoints = Checkpoints(out, _digest(sets, expert, seed, begun))
    stage = Stage(tuning.steps, tuning.rate * expert.training.learning_rate, tuning.target_items)
    return _learn(lambda: load_classifier(source), sets, stage, checkpoints, expert, execution, out, seed, progress)


def load_classifier(checkpoint: Path) -> Classifier:
    """Return the trained network, on the CPU, in evaluation mode.

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
    sets: Sequence[ClipSet],
    stage: Stage,
    checkpoints: Checkpoints,
    expert: ClassifierExpert,
    execution: Execution,
    out: Path,
    seed: int,
    progress: StepProgress | None,
) -> Path:
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(execution.device)
    with own_randomness(device, deterministic=execution.deterministic), tensor_cores(expert.training):
        randomness = TrainingRandomness(seed, device)
        objective = ClassifierObjective(begin().to(device), sets, stage, expert, randomness)
        schedule = TrainingSchedule(
            stage.steps,
            stage.peak,
            one_cycle(stage.steps),
            betas=(0.9, 0.999),
            eps=1e-8,
            clip_norm=expert.training.clip_norm,
        )
        train_steps(
            objective.task(seed),
            schedule,
            checkpoints,
            folder=out,
            checkpoint_every=execution.checkpoint_every,
            progress=progress,
        )
    return checkpoints.final


def _shape(normal: ClipSet, expert: ClassifierExpert) -> ClassifierShape:
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


def _check(sets: Sequence[ClipSet], expert: ClassifierExpert) -> None:
    for clips in sets:
        if len(clips) == 0:
            raise DataError("a classifier needs normal sounds and pseudo-anomalies", "Give it both.")
        for features, name in zip(clips.features, clips.names, strict=True):
            check_finite(features, name)
    frames = sets[0].features.shape[1]
    if frames < expert.network.frames:
        raise DataError(
            f"windows of {frames} frames are shorter than the {expert.network.frames} of a crop",
            "Give the recipe a shorter hop_length or fewer frames.",
        )


def _digest(sets: Sequence[ClipSet], expert: ClassifierExpert, seed: int, begun: str) -> str:
    """Digest of everything that decides the weights, besides the device."""
    settings: Mapping[str, Any] = expert.for_training().model_dump(mode="json")
    head = {"arithmetic": ARITHMETIC, "settings": settings, "seed": seed, "begun": begun}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clips in sets:
        digest.update(f"{len(clips)} clips".encode())
        digest.update(np.ascontiguousarray(clips.samples).tobytes())
    return digest.hexdigest()
