"""Training of the official autoencoder: the squared error of neighbouring frames."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.loop import ClipLosses
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.dense_autoencoder.network import DenseAutoencoder, DenseShape
from asd_trainer.families.dense_autoencoder.settings import DenseExpert
from asd_trainer.families.excerpt_training import Excerpts, train_on_excerpts, trained_state
from asd_trainer.families.settings import Execution

KIND = "dense_autoencoder"


def train_dense(
    clips: ClipSet,
    expert: DenseExpert,
    execution: Execution,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train one member; arguments, result and errors are those of `train_on_excerpts`."""
    shape = DenseShape(
        n_mels=clips.features.shape[-1],
        total_frames=clips.features.shape[1],
        frames=expert.frames,
        width=expert.width,
        depth=expert.depth,
        bottleneck=expert.bottleneck,
    )

    def begin(excerpts: Excerpts, device: torch.device) -> tuple[nn.Module, DenseShape, ClipLosses]:
        network = DenseAutoencoder(shape).to(device)
        return network, shape, lambda items: network.squared_errors(excerpts(items).flatten(1)).mean(dim=1)

    return train_on_excerpts(clips, expert, execution, out, begin, seed=seed, progress=progress)


def load_dense(checkpoint: Path) -> DenseAutoencoder:
    """Return the trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not a dense autoencoder's.
    """
    shape, weights = trained_state(checkpoint, KIND)
    model = DenseAutoencoder(DenseShape.model_validate(shape))
    model.load_state_dict(weights)
    return model.eval()
