"""Training the official baselines: excerpts of log-mels in random order, Adam at a constant rate, whole epochs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from asd_agent.errors import DataError
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.device_dataset import DeviceDataset
from asd_trainer.engine.loop import ClipLosses, TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.precision import tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import constant
from asd_trainer.families.autoencoder.training import choose_device
from asd_trainer.families.baselines.network import DenseAutoencoder, DenseShape, SectionClassifier, SectionShape
from asd_trainer.families.settings import DenseExpert, EpochSettings, SectionExpert
from asd_trainer.recipes.recipe import Recipe

Features = npt.NDArray[np.float32]
ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""
KERAS_ADAM_EPS = 1e-7


def train_baseline(
    features: Features,
    sections: npt.NDArray[np.float32],
    names: Sequence[str],
    recipe: Recipe,
    expert: DenseExpert | SectionExpert,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train one member, going on where an earlier call was interrupted.

    Args:
        features: Log-mels in decibels, shape (clips, frames, n_mels); may be a memory map.
        sections: Scaled section value of each clip, shape (clips,).
        names: Of the clips, for error messages.
        recipe: Device and checkpoints.
        expert: What to train.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Of weights and batches.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: No clips, a clip that is not finite, windows too short, or one section where several are needed.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The recipe wants CUDA and there is none.
    """
    if not len(features) == len(sections) == len(names) or features.ndim != 3 or len(features) == 0:
        raise DataError(
            f"features {features.shape}, {len(sections)} sections and {len(names)} names do not fit together",
            "Give one section and one name for each of at least one clip.",
        )
    for clip, name in zip(features, names, strict=True):
        if not np.isfinite(clip).all():
            raise DataError(f"clip {name} has features that are not finite", "Remove or mend that recording.")
    if features.shape[1] < expert.frames:
        raise DataError(
            f"windows of {features.shape[1]} frames are shorter than the {expert.frames} of an item",
            "Give the recipe a shorter hop_length or fewer frames.",
        )
    checkpoints = Checkpoints(out, _digest(features, sections, expert, seed))
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(recipe.device)
    with own_randomness(device, deterministic=recipe.deterministic), tensor_cores():
        chance = TrainingRandomness(seed, device)
        model, items, losses = _begin(features, sections, expert, device)
        per_clip = items // len(features)
        trainee = TrainingTask(
            model=model,
            clip_losses=losses,
            sampler=BatchSampler(items, expert.training.batch, seed),
            randomness=chance,
            names=[name for name in names for _ in range(per_clip)],
            description={"kind": expert.kind, "shape": model.shape.model_dump(mode="json")},
        )
        train_steps(
            trainee,
            constant_course(expert.training, items),
            checkpoints,
            folder=out,
            checkpoint_every=recipe.checkpoint_every,
            progress=progress,
        )
    return checkpoints.final


def load_baseline(checkpoint: Path) -> DenseAutoencoder | SectionClassifier:
    """The trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not a baseline's.
    """
    state = read_checkpoint(checkpoint)
    shape: Any = state.get("shape")
    model: DenseAutoencoder | SectionClassifier
    if state.get("kind") == "dense_autoencoder":
        model = DenseAutoencoder(DenseShape.model_validate(shape))
    elif state.get("kind") == "section_classifier":
        model = SectionClassifier(SectionShape.model_validate(shape))
    else:
        raise CheckpointError(f"{checkpoint}: is not a baseline's checkpoint", "Name one.")
    model.load_state_dict(state["model"])
    return model.eval()


def constant_course(training: EpochSettings, items: int) -> TrainingSchedule:
    """Adam as Keras has it, so many epochs of so many items."""
    return TrainingSchedule(training.steps(items), training.learning_rate, constant(), (0.9, 0.999), KERAS_ADAM_EPS)


def _begin(
    features: Features, sections: npt.NDArray[np.float32], expert: DenseExpert | SectionExpert, device: torch.device
) -> tuple[DenseAutoencoder | SectionClassifier, int, ClipLosses]:
    """The fresh network, how many items there are, and the loss of items by their numbers."""
    clips, frames, n_mels = features.shape
    if isinstance(expert, DenseExpert):
        dense = DenseAutoencoder(
            DenseShape(
                n_mels=n_mels,
                total_frames=frames,
                frames=expert.frames,
                width=expert.width,
                depth=expert.depth,
                bottleneck=expert.bottleneck,
            )
        ).to(device)
        cut = _Excerpts(features, expert.frames, 1, device)
        return dense, clips * cut.per_clip, lambda items: dense.squared_errors(cut(items).flatten(1)).mean(dim=1)
    values, places = np.unique(sections, return_inverse=True)
    if len(values) < 2:
        raise DataError("a network that tells sections apart needs two", "Use another recipe for this machine.")
    classifier = SectionClassifier(
        SectionShape(
            n_mels=n_mels,
            total_frames=frames,
            sections=len(values),
            frames=expert.frames,
            hop=expert.hop,
            backbone=expert.backbone,
        )
    )
    nn.Module.to(classifier, device)
    excerpts = _Excerpts(features, expert.frames, expert.hop, device)
    right = DeviceDataset(places.astype(np.int64), device)

    def losses(items: npt.NDArray[np.int64]) -> Tensor:
        targets = right.take(items // excerpts.per_clip)
        return functional.cross_entropy(classifier.logits(excerpts(items)), targets, reduction="none")

    return classifier, clips * excerpts.per_clip, losses


class _Excerpts:
    """Excerpts of clips by their numbers: the first clip's, then the second's, and so on."""

    def __init__(self, features: Features, frames: int, hop: int, device: torch.device) -> None:
        self._clips, self._frames, self._hop = DeviceDataset(features, device), frames, hop
        self.per_clip = (features.shape[1] - frames) // hop + 1

    def __call__(self, items: npt.NDArray[np.int64]) -> Tensor:
        """Shape (items, frames, n_mels)."""
        clips, starts = items // self.per_clip, items % self.per_clip * self._hop
        return self._clips.excerpts(clips, starts, self._frames).float()


def _digest(
    features: Features, sections: npt.NDArray[np.float32], expert: DenseExpert | SectionExpert, seed: int
) -> str:
    """Digest of all that decides the weights, besides the device."""
    settings = expert.learnt().model_dump(mode="json", exclude={"features"})
    head = {"arithmetic": ARITHMETIC, "settings": settings, "seed": seed, "shape": features.shape}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clip in features:
        digest.update(np.ascontiguousarray(clip, dtype=np.float32).tobytes())
    digest.update(np.ascontiguousarray(sections, dtype=np.float32).tobytes())
    return digest.hexdigest()
