"""Training of a conformer autoencoder on log-mels of normal sound (sections 2.1 and 3.1 of the paper)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.device_dataset import DeviceDataset
from asd_trainer.engine.loop import ClipLosses, TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.precision import autocast, choose_device, compiled, tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import warmup
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.families.autoencoder.settings import AutoencoderExpert, TrainingSettings
from asd_trainer.families.settings import Execution
from asd_trainer.features.spec_augment import keep_mask

ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""


def train_autoencoder(
    clips: ClipSet,
    expert: AutoencoderExpert,
    execution: Execution,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train one member, resuming where an earlier call was interrupted.

    Args:
        clips: Log-mels and section values of at least one clip.
        expert: Settings of the member.
        execution: Device, repeatability and checkpoints.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Seed of weights, batches, masks and dropout.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: There are no clips, a clip is not finite, or arrays have different lengths.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The execution wants CUDA and there is none.
    """
    clips.check_log_mels()
    checkpoints = Checkpoints(out, _digest(clips, expert, seed))
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(execution.device)
    shape = AutoencoderShape(
        n_mels=clips.features.shape[2],
        frames=clips.features.shape[1],
        id_regression=expert.id_regression,
        network=expert.network,
    )
    mean, std = clips.band_statistics()
    with own_randomness(device, deterministic=execution.deterministic), tensor_cores(expert.training):
        randomness = TrainingRandomness(seed, device)
        model = Autoencoder(shape)
        model.set_normalisation(mean, std)
        model.to(device)
        compiled(model, expert.training)
        task = TrainingTask(
            model=model,
            clip_losses=_losses(model, clips, expert, randomness.masks),
            sampler=BatchSampler(len(clips), expert.training.batch, seed),
            randomness=randomness,
            names=clips.names,
            description={"kind": expert.kind, "shape": shape.model_dump(mode="json")},
        )
        train_steps(
            task,
            warmup_schedule(expert.training),
            checkpoints,
            folder=out,
            checkpoint_every=execution.checkpoint_every,
            progress=progress,
        )
    return checkpoints.final


def load_autoencoder(checkpoint: Path) -> Autoencoder:
    """Return the trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not an autoencoder's.
    """
    state = read_checkpoint(checkpoint)
    if state.get("kind") != "autoencoder":
        raise CheckpointError(f"{checkpoint}: is not an autoencoder's checkpoint", "Name one.")
    model = Autoencoder(AutoencoderShape.model_validate(state["shape"]))
    model.load_state_dict(state["model"])
    return model.eval()


def warmup_schedule(training: TrainingSettings) -> TrainingSchedule:
    """Return the optimisation of Vaswani et al. 2017: Adam under a warm-up schedule."""
    return TrainingSchedule(
        training.steps, training.learning_rate, warmup(training.warmup_steps), clip_norm=training.clip_norm
    )


def _losses(model: Autoencoder, clips: ClipSet, expert: AutoencoderExpert, masks: torch.Generator) -> ClipLosses:
    """Mean squared error of each clip over all cells, masked or not."""
    device = model.mean.device
    features = DeviceDataset(clips.features, device)
    values = DeviceDataset(np.asarray(clips.sections, dtype=np.float32), device)

    def losses(indices: npt.NDArray[np.int64]) -> Tensor:
        x, section = features.take(indices).float(), values.take(indices)
        keep = keep_mask(len(x), x.shape[1], x.shape[2], expert.masks, masks).float()
        with autocast(device, expert.training):
            error: Tensor = model(x, keep, section)
        return error.float().square().mean(dim=(1, 2))

    return losses


def _digest(clips: ClipSet, expert: AutoencoderExpert, seed: int) -> str:
    """Digest of everything that decides the weights, besides the device."""
    settings = expert.model_dump(mode="json", include={"id_regression", "network", "masks", "training"})
    head = {"arithmetic": ARITHMETIC, "settings": settings, "seed": seed, "shape": clips.features.shape}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clip in clips.features:
        digest.update(np.ascontiguousarray(clip, dtype=np.float32).tobytes())
    digest.update(np.ascontiguousarray(clips.sections, dtype=np.float32).tobytes())
    return digest.hexdigest()
