"""Training one embedding network for all machines: soft labels of mixed sounds under sub-cluster AdaCos."""

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
from asd_trainer.data.attribute_classes import ClassSet
from asd_trainer.engine.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.engine.device_dataset import DeviceDataset, send
from asd_trainer.engine.loop import TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.precision import autocast, compiled, for_convolutions, tensor_cores
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import constant
from asd_trainer.families.autoencoder.training import choose_device
from asd_trainer.families.embedding.adacos import SubclusterAdaCos
from asd_trainer.families.embedding.network import EmbeddingNetwork, EmbeddingShape
from asd_trainer.families.embedding.pseudo_classes import ALTERATIONS, altered
from asd_trainer.families.settings import EmbeddingExpert
from asd_trainer.features.log_mel import LinearStft, Spectrum
from asd_trainer.recipes.recipe import Recipe

ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""
_EXCHANGED = 0.5
"""Share of the items whose branches come from two of them."""


def train_embedding(
    learnt: ClassSet,
    recipe: Recipe,
    expert: EmbeddingExpert,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train one member, going on where an earlier call was interrupted.

    Args:
        learnt: Clips of all machines with their classes.
        recipe: Device and checkpoints.
        expert: What to train.
        out: Folder of this training alone: checkpoint, metrics.jsonl, tensorboard/.
        seed: Of weights, batches, mixtures and exchanges.
        progress: Called after each step.

    Returns:
        The final checkpoint; at once where it is already there for the same inputs.

    Raises:
        DataError: No clips, or arrays of different lengths.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The recipe wants CUDA and there is none.
    """
    if not len(learnt.samples) == len(learnt.labels) == len(learnt.names) or len(learnt.samples) < 2:
        raise DataError(
            f"{len(learnt.samples)} clips, {len(learnt.labels)} labels, {len(learnt.names)} names do not fit together",
            "Give one label and one name for each of at least two clips.",
        )
    if len(learnt.classes) < 2:
        warnings.warn(
            f"{learnt.classes[0]} is the only class: the network learns to tell {len(ALTERATIONS)} versions apart",
            stacklevel=2,
        )
    checkpoints = Checkpoints(out, _digest(learnt, expert, seed))
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(recipe.device)
    training = expert.training
    shape = EmbeddingShape(network=expert.network, samples=learnt.samples.shape[1])
    with own_randomness(device, deterministic=recipe.deterministic), tensor_cores(training):
        chance = TrainingRandomness(seed, device)
        lesson = Lesson(shape, len(learnt.classes), expert).to(device)
        for branch in lesson.network.branches:
            for_convolutions(branch, device)
            compiled(branch, training)
        clips, right = DeviceDataset(learnt.samples, device), DeviceDataset(learnt.labels, device)

        def losses(indices: npt.NDArray[np.int64]) -> Tensor:
            signals = clips.take(indices).float() / 32768.0
            found: Tensor = lesson(signals, right.take(indices), chance.masks, chance.host)
            return found

        trainee = TrainingTask(
            model=lesson,
            clip_losses=losses,
            sampler=BatchSampler(len(learnt.samples), training.batch, seed),
            randomness=chance,
            names=learnt.names,
            description={
                "kind": expert.kind,
                "shape": shape.model_dump(mode="json"),
                "classes": list(learnt.classes),
            },
        )
        course = TrainingSchedule(
            training.steps(len(learnt.samples)),
            training.learning_rate,
            constant(),
            (0.9, 0.999),
            1e-8,
            weight_decay=training.weight_decay,
        )
        train_steps(
            trainee, course, checkpoints, folder=out, checkpoint_every=recipe.checkpoint_every, progress=progress
        )
    return checkpoints.final


def load_embedding(checkpoint: Path) -> EmbeddingNetwork:
    """The trained network, on the CPU, in evaluation mode.

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


class Lesson(nn.Module):
    """The network with its front ends and losses: from sounds and their classes to the loss of each.

    Args:
        shape: Of the network.
        classes: How many; one alone is replaced by its alterations.
        expert: The rest.
    """

    def __init__(self, shape: EmbeddingShape, classes: int, expert: EmbeddingExpert) -> None:
        super().__init__()
        self.network = EmbeddingNetwork(shape)
        self.front_ends = nn.ModuleList(
            LinearStft(spec) if isinstance(spec, StftSpec) else Spectrum(spec) for spec in shape.network.inputs.values()
        )
        self.alter = classes < 2
        self.classes = len(ALTERATIONS) if self.alter else classes
        self.mixup, self.computation = expert.mixup, expert.training
        self.loss = SubclusterAdaCos(self.network.dimensions, self.classes, expert.sub_clusters)
        self.exchange = (
            SubclusterAdaCos(self.network.dimensions, 3 * self.classes, expert.sub_clusters)
            if expert.exchange
            else None
        )

    def forward(self, signals: Tensor, labels: Tensor, chance: torch.Generator, host: torch.Generator) -> Tensor:
        """Loss of each item.

        Args:
            signals: Full scale ±1, shape (batch, samples).
            labels: Class of each, shape (batch,).
            chance: Of mixtures and exchanges.
            host: Of alterations, on the CPU.

        Returns:
            Shape (batch,).
        """
        if self.alter:
            how = torch.randint(self.classes, labels.shape, generator=host)
            signals, labels = altered(signals, how, SAMPLE_RATE), send(how.numpy(), labels.device)
        own = labels[:, None] == torch.arange(
            self.classes, device=labels.device
        )  # one_hot would read the largest label
        signals, shares = mixed(signals, own.float(), self.mixup, chance)
        heard = [front_end(signals) for front_end in self.front_ends]
        with autocast(signals.device, self.computation):
            parts = [part.float() for part in self.network.parts(*heard)]
        losses: Tensor = self.loss(torch.cat(parts, dim=1), shares)
        if self.exchange is not None:
            swapped, which = exchanged(parts, shares, chance)
            losses = losses + self.exchange(swapped, which)
        return losses


def mixed(signals: Tensor, shares: Tensor, part: float, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) with another item of the batch, by a share drawn evenly from 0 to 1.

    Args:
        signals: Shape (batch, samples).
        shares: Of each class, shape (batch, classes).
        part: Of the items that are mixed, on average.
        chance: Of everything random.

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
    """Feature exchange (Wilkinghoff 2024): half of the items get the branches after the first from another item.

    Args:
        parts: Each branch's embedding, shape (batch, embedding).
        shares: Of each class, shape (batch, classes).
        chance: Of who exchanges with whom.

    Returns:
        Embeddings, shape (batch, branches · embedding), and shares of three times as many classes: what is left alone
        has its shares among the first; what was exchanged has half of the first branch's item's among the second and
        half of the others' among the third.
    """
    batch = len(shares)
    other = torch.randperm(batch, generator=chance, device=chance.device)
    swap = torch.rand(batch, generator=chance, device=chance.device) < _EXCHANGED
    source = torch.where(swap, other, torch.arange(batch, device=chance.device))
    found = torch.cat([parts[0], *(part[source] for part in parts[1:])], dim=1)
    alone = (~swap).float()[:, None]
    return found, torch.cat([alone * shares, 0.5 * (1 - alone) * shares, 0.5 * (1 - alone) * shares[other]], dim=1)


def _digest(learnt: ClassSet, expert: EmbeddingExpert, seed: int) -> str:
    """Digest of all that decides the weights, besides the device."""
    head = {
        "arithmetic": ARITHMETIC,
        "settings": expert.learnt().model_dump(mode="json"),
        "seed": seed,
        "classes": len(learnt.classes),
        "labels": learnt.labels.tolist(),
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for clip in learnt.samples:
        digest.update(np.ascontiguousarray(clip).tobytes())
    return digest.hexdigest()
