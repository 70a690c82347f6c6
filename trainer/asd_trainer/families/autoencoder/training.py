"""Training a conformer autoencoder on log-mels of normal sound (sections 2.1 and 3.1 of the paper)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_agent.errors import AsdError, DataError
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.device_dataset import DeviceDataset
from asd_trainer.engine.loop import ClipLosses, TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.precision import autocast, compiled, tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import warmup
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.families.settings import AutoencoderExpert, TrainingSettings
from asd_trainer.features.spec_augment import keep_mask
from asd_trainer.recipes.recipe import Recipe

Features = npt.NDArray[np.float32]
ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""


def train_autoencoder(
    features: Features,
    sections: npt.NDArray[np.float32],
    names: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
    expert: AutoencoderExpert | None = None,
) -> Path:
    """Train one member, going on where an earlier call was interrupted.

    Args:
        features: Log-mels in decibels, shape (clips, frames, n_mels); may be a memory map.
        sections: Scaled section value of each clip, shape (clips,).
        names: Of the clips, for error messages.
        recipe: Device and checkpoints, and the expert where none is given.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Of weights, batches, masks and dropout.
        progress: Called after each step.
        expert: Which autoencoder of the recipe.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: No clips, a clip that is not finite, or arrays of different lengths.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The recipe wants CUDA and there is none.
    """
    expert = expert or recipe.autoencoder()
    if not len(features) == len(sections) == len(names) or features.ndim != 3 or len(features) == 0:
        raise DataError(
            f"features {features.shape}, {len(sections)} sections and {len(names)} names do not fit together",
            "Give one section and one name for each of at least one clip.",
        )
    checkpoints = Checkpoints(out, _digest(features, sections, expert, seed))
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(recipe.device)
    shape = AutoencoderShape(
        n_mels=features.shape[2],
        frames=features.shape[1],
        id_regression=expert.id_regression,
        network=expert.network,
    )
    mean, std = band_statistics(features, names)
    with own_randomness(device, deterministic=recipe.deterministic), tensor_cores(expert.training):
        chance = TrainingRandomness(seed, device)
        model = Autoencoder(shape)
        model.set_normalisation(mean, std)
        model.to(device)
        compiled(model, expert.training)
        trainee = TrainingTask(
            model=model,
            clip_losses=_losses(model, features, sections, expert, chance.masks),
            sampler=BatchSampler(len(features), expert.training.batch, seed),
            randomness=chance,
            names=names,
            description={"kind": "autoencoder", "shape": shape.model_dump(mode="json")},
        )
        train_steps(
            trainee,
            warmup_course(expert.training),
            checkpoints,
            folder=out,
            checkpoint_every=recipe.checkpoint_every,
            progress=progress,
        )
    return checkpoints.final


def load_autoencoder(checkpoint: Path) -> Autoencoder:
    """The trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not an autoencoder's.
    """
    state = read_checkpoint(checkpoint)
    if state.get("kind") != "autoencoder":
        raise CheckpointError(f"{checkpoint}: is not an autoencoder's checkpoint", "Name one.")
    model = Autoencoder(AutoencoderShape.model_validate(state["shape"]))
    model.load_state_dict(state["model"])
    return model.eval()


def warmup_course(training: TrainingSettings) -> TrainingSchedule:
    """Adam as in Vaswani et al. 2017."""
    return TrainingSchedule(
        training.steps, training.learning_rate, warmup(training.warmup_steps), clip_norm=training.clip_norm
    )


def band_statistics(
    features: Features, names: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each mel band over clips and frames, each of shape (n_mels,).

    Raises:
        DataError: A clip holds a value that is not finite.
    """
    total = np.zeros(features.shape[2])
    squares = np.zeros(features.shape[2])
    shift = np.asarray(features[0], dtype=np.float64).mean(axis=0)  # keeps the difference of squares exact
    for clip, name in zip(features, names, strict=True):
        if not np.isfinite(clip).all():
            raise DataError(f"clip {name} has features that are not finite", "Remove or mend that recording.")
        moved = clip.astype(np.float64) - shift
        total += moved.sum(axis=0)
        squares += (moved**2).sum(axis=0)
    count = features.shape[0] * features.shape[1]
    mean = total / count
    return mean + shift, np.sqrt(np.maximum(squares / count - mean**2, 0.0))


def choose_device(wanted: str) -> torch.device:
    """The device that a recipe asks for.

    Raises:
        AsdError: It wants CUDA and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise AsdError("the recipe wants a CUDA device and torch finds none", "Set `device: auto`.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _losses(
    model: Autoencoder,
    features: Features,
    sections: npt.NDArray[np.float32],
    expert: AutoencoderExpert,
    masks: torch.Generator,
) -> ClipLosses:
    """Mean squared error of each clip over all cells, masked or not."""
    device = model.mean.device
    clips = DeviceDataset(features, device)
    values = DeviceDataset(np.asarray(sections, dtype=np.float32), device)

    def losses(indices: npt.NDArray[np.int64]) -> Tensor:
        x, section = clips.take(indices).float(), values.take(indices)
        keep = keep_mask(len(x), x.shape[1], x.shape[2], expert.masks, masks).float()
        with autocast(device, expert.training):
            error: Tensor = model(x, keep, section)
        return error.float().square().mean(dim=(1, 2))

    return losses


def _digest(features: Features, sections: npt.NDArray[np.float32], expert: AutoencoderExpert, seed: int) -> str:
    """Digest of all that decides the weights, besides the device."""
    settings = expert.model_dump(mode="json", include={"id_regression", "network", "masks", "training"})
    head = {"arithmetic": ARITHMETIC, "settings": settings, "seed": seed, "shape": features.shape}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clip in features:
        digest.update(np.ascontiguousarray(clip, dtype=np.float32).tobytes())
    digest.update(np.ascontiguousarray(sections, dtype=np.float32).tobytes())
    return digest.hexdigest()
