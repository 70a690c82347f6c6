"""Training on excerpts of log-mels as the official baselines of DCASE 2021 Task 2 do (Kawaguchi et al. 2021).

Items are excerpts of a few frames in random order. The optimiser is Adam at a constant rate over whole epochs, as Keras
has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from asd_agent.errors import DataError
from asd_trainer.data.clips import ClipSet, check_finite
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.device_dataset import DeviceDataset
from asd_trainer.engine.loop import ClipLosses, TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.precision import choose_device, tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import constant
from asd_trainer.families.excerpt_family import ExcerptExpert
from asd_trainer.families.settings import EpochSettings, Execution

ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""
KERAS_ADAM_EPS = 1e-7
KERAS_NORM_EPS = 1e-3
"""Defaults of Keras, in which the baselines were published."""


class Excerpts:
    """Excerpts of clips by their numbers: the first clip's, then the second's, and so on.

    Args:
        features: Log-mels, shape (clips, frames, n_mels).
        frames: Frames of an excerpt.
        hop: Frames from excerpt to excerpt.
        device: Where excerpts are wanted.
    """

    def __init__(self, features: npt.NDArray[np.float32], frames: int, hop: int, device: torch.device) -> None:
        self._clips, self._frames, self._hop = DeviceDataset(features, device), frames, hop
        self._per_clip = (features.shape[1] - frames) // hop + 1

    def __call__(self, items: npt.NDArray[np.int64]) -> Tensor:
        """Return excerpts, shape (items, frames, n_mels)."""
        starts = items % self._per_clip * self._hop
        return self._clips.excerpts(self.clips(items), starts, self._frames).float()

    def clips(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of each excerpt's clip."""
        return np.asarray(items // self._per_clip)


Begin = Callable[[Excerpts, torch.device], tuple[nn.Module, BaseModel, ClipLosses]]
"""From excerpts and a device to a fresh network, its shape, and the loss of excerpts by their numbers."""


def train_on_excerpts(
    clips: ClipSet,
    expert: ExcerptExpert,
    execution: Execution,
    out: Path,
    begin: Begin,
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
        begin: Builds the network, after the seed is set.
        seed: Seed of weights and batches.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: There are no clips, a clip is not finite, or windows are shorter than an excerpt.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The execution wants CUDA and there is none.
    """
    clips.check_log_mels()
    for features, name in zip(clips.features, clips.names, strict=True):
        check_finite(features, name)
    frames = clips.features.shape[1]
    if frames < expert.frames:
        raise DataError(
            f"windows of {frames} frames are shorter than the {expert.frames} of an item",
            "Give the recipe a shorter hop_length or fewer frames.",
        )
    checkpoints = Checkpoints(out, _digest(clips, expert, seed))
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(execution.device)
    per_clip = expert.excerpts(frames)
    with own_randomness(device, deterministic=execution.deterministic), tensor_cores():
        randomness = TrainingRandomness(seed, device)
        excerpts = Excerpts(clips.features, expert.frames, expert.excerpt_hop, device)
        model, shape, losses = begin(excerpts, device)
        items = len(clips) * per_clip
        task = TrainingTask(
            model=model,
            clip_losses=losses,
            sampler=BatchSampler(items, expert.training.batch, seed),
            randomness=randomness,
            names=[name for name in clips.names for _ in range(per_clip)],
            description={"kind": expert.kind, "shape": shape.model_dump(mode="json")},
        )
        train_steps(
            task,
            constant_schedule(expert.training, items),
            checkpoints,
            folder=out,
            checkpoint_every=execution.checkpoint_every,
            progress=progress,
        )
    return checkpoints.final


def constant_schedule(training: EpochSettings, items: int) -> TrainingSchedule:
    """Return Adam as Keras has it, for the epochs of so many items."""
    return TrainingSchedule(training.steps(items), training.learning_rate, constant(), (0.9, 0.999), KERAS_ADAM_EPS)


def trained_state(checkpoint: Path, kind: str) -> tuple[Any, dict[str, Tensor]]:
    """Return the shape and the weights of a trained network.

    Raises:
        CheckpointError: The file is missing, damaged or of another kind.
    """
    state = read_checkpoint(checkpoint)
    if state.get("kind") != kind:
        raise CheckpointError(f"{checkpoint}: is no checkpoint of a {kind}", "Name one.")
    return state["shape"], state["model"]


def _digest(clips: ClipSet, expert: ExcerptExpert, seed: int) -> str:
    """Digest of everything that decides the weights, besides the device."""
    settings = expert.for_training().model_dump(mode="json", exclude={"features"})
    head = {"arithmetic": ARITHMETIC, "settings": settings, "seed": seed, "shape": clips.features.shape}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clip in clips.features:
        digest.update(np.ascontiguousarray(clip, dtype=np.float32).tobytes())
    digest.update(np.ascontiguousarray(clips.sections, dtype=np.float32).tobytes())
    return digest.hexdigest()
