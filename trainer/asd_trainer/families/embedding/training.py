"""Training of one embedding network for all machines: soft labels of mixed sounds under sub-cluster AdaCos."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.errors import DataError
from asd_agent.features.stft import StftSpec
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.device_dataset import DeviceDataset, send
from asd_trainer.engine.loop import TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.precision import autocast, choose_device, compiled, for_convolutions, tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import constant
from asd_trainer.families.embedding.adacos import SubclusterAdaCos
from asd_trainer.families.embedding.network import EmbeddingNetwork, EmbeddingShape
from asd_trainer.families.embedding.pseudo_classes import TRANSFORMS, transformed
from asd_trainer.families.embedding.settings import EmbeddingExpert
from asd_trainer.families.settings import Execution
from asd_trainer.features.log_mel import LinearStft, Spectrum

ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""
_EXCHANGED = 0.5
"""Share of the items whose branches come from two items (Wilkinghoff 2024)."""


def train_embedding(
    clips: ClipSet,
    expert: EmbeddingExpert,
    execution: Execution,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train one member, resuming where an earlier call was interrupted.

    Args:
        clips: Samples of clips of all machines with their classes.
        expert: Settings of the member.
        execution: Device, repeatability and checkpoints.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Seed of weights, batches, mixtures and exchanges.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: There are fewer than two clips, or arrays have different lengths.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The execution wants CUDA and there is none.
    """
    if not len(clips.samples) == len(clips.classes) == len(clips.names) or len(clips) < 2:
        raise DataError(
            f"{len(clips.samples)} clips, {len(clips.classes)} classes, {len(clips.names)} names do not fit together",
            "Give one class and one name for each of at least two clips.",
        )
    if len(clips.class_names) < 2:
        warnings.warn(
            f"{clips.class_names[0]} is the only class: the network learns to distinguish {len(TRANSFORMS)} versions",
            stacklevel=2,
        )
    checkpoints = Checkpoints(out, _digest(clips, expert, seed))
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(execution.device)
    training = expert.training
    shape = EmbeddingShape(network=expert.network, samples=clips.samples.shape[1])
    with own_randomness(device, deterministic=execution.deterministic), tensor_cores(training):
        randomness = TrainingRandomness(seed, device)
        model = EmbeddingLoss(shape, len(clips.class_names), expert).to(device)
        for branch in model.network.branches:
            for_convolutions(branch, device)
            compiled(branch, training)
        samples, right = DeviceDataset(clips.samples, device), DeviceDataset(clips.classes, device)

        def losses(indices: npt.NDArray[np.int64]) -> Tensor:
            signals = samples.take(indices).float() / 32768.0
            found: Tensor = model(signals, right.take(indices), randomness.masks, randomness.host)
            return found

        task = TrainingTask(
            model=model,
            clip_losses=losses,
            sampler=BatchSampler(len(clips), training.batch, seed),
            randomness=randomness,
            names=clips.names,
            description={
                "kind": expert.kind,
                "shape": shape.model_dump(mode="json"),
                "classes": list(clips.class_names),
            },
        )
        schedule = TrainingSchedule(
            training.steps(len(clips)),
            training.learning_rate,
            constant(),
            (0.9, 0.999),
            1e-8,
            weight_decay=training.weight_decay,
        )
        train_steps(
            task, schedule, checkpoints, folder=out, checkpoint_every=execution.checkpoint_every, progress=progress
        )
    return checkpoints.final


def load_embedding(checkpoint: Path) -> EmbeddingNetwork:
    """Return the trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not an embedding network's.
    """
    state = read_checkpoint(checkpoint)
    if state.get("kind") != "embedding":
        raise CheckpointError(f"{checkpoint}: is not an embedding network's checkpoint", "Name one.")
    model = EmbeddingNetwork(EmbeddingShape.model_validate(state["shape"]))
    start = "network."
    model.load_state_dict({k.removeprefix(start): v for k, v in state["model"].items() if k.startswith(start)})
    return model.eval()


class EmbeddingLoss(nn.Module):
    """The network with its front ends and losses: from sounds and their classes to the loss of each.

    Args:
        shape: Shape of the network.
        classes: Number of classes; one alone is replaced by its transforms.
        expert: Mixup, exchange and sub-clusters.
    """

    def __init__(self, shape: EmbeddingShape, classes: int, expert: EmbeddingExpert) -> None:
        super().__init__()
        self.network = EmbeddingNetwork(shape)
        self.front_ends = nn.ModuleList(
            LinearStft(spec) if isinstance(spec, StftSpec) else Spectrum(spec) for spec in shape.network.inputs.values()
        )
        self.pseudo_classes = classes < 2
        self.classes = len(TRANSFORMS) if self.pseudo_classes else classes
        self.mixup, self.computation = expert.mixup, expert.training
        self.loss = SubclusterAdaCos(self.network.dimensions, self.classes, expert.sub_clusters)
        self.exchange = (
            SubclusterAdaCos(self.network.dimensions, 3 * self.classes, expert.sub_clusters)
            if expert.exchange
            else None
        )

    def forward(self, signals: Tensor, labels: Tensor, chance: torch.Generator, host: torch.Generator) -> Tensor:
        """Return the loss of each item.

        Args:
            signals: Full scale ±1, shape (batch, samples).
            labels: Class of each, shape (batch,).
            chance: Generator of mixtures and exchanges.
            host: Generator of transforms, on the CPU.

        Returns:
            Shape (batch,).
        """
        if self.pseudo_classes:
            which = torch.randint(self.classes, labels.shape, generator=host)
            signals, labels = transformed(signals, which, SAMPLE_RATE), send(which.numpy(), labels.device)
        own = labels[:, None] == torch.arange(
            self.classes, device=labels.device
        )  # one_hot would read the largest label
        signals, shares = mixed(signals, own.float(), self.mixup, chance)
        inputs = [front_end(signals) for front_end in self.front_ends]
        with autocast(signals.device, self.computation):
            parts = [part.float() for part in self.network.parts(*inputs)]
        losses: Tensor = self.loss(torch.cat(parts, dim=1), shares)
        if self.exchange is not None:
            swapped, which = exchanged(parts, shares, chance)
            losses = losses + self.exchange(swapped, which)
        return losses


def mixed(signals: Tensor, shares: Tensor, part: float, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mix items with others of the batch, by shares drawn evenly from 0 to 1 (mixup, Zhang et al. 2018).

    Args:
        signals: Shape (batch, samples).
        shares: Share of each class, shape (batch, classes).
        part: Share of the items that are mixed, on average.
        chance: Generator of everything random.

    Returns:
        Signals and shares, mixed alike.
    """
    own, other = _own_share(len(signals), part, chance)
    return (
        own[:, None] * signals + (1 - own[:, None]) * signals[other],
        own[:, None] * shares + (1 - own[:, None]) * shares[other],
    )


def _own_share(batch: int, part: float, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    other = torch.randperm(batch, generator=chance, device=chance.device)
    drawn = torch.rand(2, batch, generator=chance, device=chance.device)
    return torch.where(drawn[0] < part, drawn[1], torch.ones_like(drawn[1])), other


def exchanged(parts: list[Tensor], shares: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Exchange features (Wilkinghoff 2024): half of the items get the branches after the first from another item.

    Args:
        parts: Each branch's embedding, shape (batch, embedding).
        shares: Share of each class, shape (batch, classes).
        chance: Generator of the pairs.

    Returns:
        Embeddings, shape (batch, branches · embedding), and shares of three times as many classes. An item without
        exchange has its shares among the first third; an exchanged one has half of the shares of the first branch's
        item among the second and half of those of the other branches' item among the third.
    """
    batch = len(shares)
    other = torch.randperm(batch, generator=chance, device=chance.device)
    swap = torch.rand(batch, generator=chance, device=chance.device) < _EXCHANGED
    source = torch.where(swap, other, torch.arange(batch, device=chance.device))
    found = torch.cat([parts[0], *(part[source] for part in parts[1:])], dim=1)
    alone = (~swap).float()[:, None]
    return found, torch.cat([alone * shares, 0.5 * (1 - alone) * shares, 0.5 * (1 - alone) * shares[other]], dim=1)


def _digest(clips: ClipSet, expert: EmbeddingExpert, seed: int) -> str:
    """Digest of everything that decides the weights, besides the device."""
    head = {
        "arithmetic": ARITHMETIC,
        "settings": expert.for_training().model_dump(mode="json"),
        "seed": seed,
        "classes": len(clips.class_names),
        "labels": clips.classes.tolist(),
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clip in clips.samples:
        digest.update(np.ascontiguousarray(clip).tobytes())
    return digest.hexdigest()
