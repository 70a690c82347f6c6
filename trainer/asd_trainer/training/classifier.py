"""Training a binary classifier for a section, and its tuning to the target domain (sections 2.2 and 3.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_agent.errors import DataError
from asd_trainer.augment_sounds import augment, beta, mixup
from asd_trainer.features import LogMel
from asd_trainer.models.classifier import Classifier, ClassifierShape
from asd_trainer.recipe import Recipe
from asd_trainer.settings import ClassifierExpert
from asd_trainer.sounds import Sounds
from asd_trainer.training.autoencoder import band_statistics, choose_device
from asd_trainer.training.checkpoint import CheckpointError, Checkpoints, read_checkpoint
from asd_trainer.training.loop import Course, Progress, Trainee, train_steps
from asd_trainer.training.losses import arcface, binary_cross_entropy, ddcsad
from asd_trainer.training.randomness import Chance, JointSampler, own_randomness
from asd_trainer.training.schedule import one_cycle_rate

ARITHMETIC = 1
"""Raised when the same inputs give another network than before."""
KIND = "classifier"
_AT_ONCE = 64


def train_classifier(
    normal: Sounds,
    outliers: Sounds,
    recipe: Recipe,
    expert: ClassifierExpert,
    out: Path,
    *,
    seed: int,
    progress: Progress | None = None,
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

    plan = _Plan(expert.training.steps, expert.training.learning_rate, 0)
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
    progress: Progress | None = None,
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
    plan = _Plan(tuning.steps, tuning.rate * expert.training.learning_rate, tuning.target_items)
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


def observations(model: Classifier, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the exported graph would give for clips: shape (clips, crops, 2 + embedding)."""
    device = model.mean.device
    with torch.no_grad():
        parts = [
            torch.cat(model(torch.from_numpy(np.ascontiguousarray(features[i : i + _AT_ONCE])).to(device)), dim=2)
            for i in range(0, len(features), _AT_ONCE)
        ]
    return np.asarray(torch.cat(parts).cpu().numpy())


@dataclass(frozen=True)
class _Plan:
    """How long, at which peak rate, and with how many target items in each batch."""

    steps: int
    peak: float
    target_items: int


def _learn(
    begin: Callable[[], Classifier],
    sets: Sequence[Sounds],
    plan: _Plan,
    checkpoints: Checkpoints,
    recipe: Recipe,
    expert: ClassifierExpert,
    out: Path,
    seed: int,
    progress: Progress | None,
) -> Path:
    if checkpoints.finished():
        return checkpoints.final
    device = choose_device(recipe.device)
    with own_randomness(device, deterministic=recipe.deterministic):
        chance = Chance(seed, device)
        learning = _Learning(begin().to(device), sets, plan, recipe, expert, chance)
        course = Course(
            plan.steps,
            lambda step: one_cycle_rate(step, plan.peak, plan.steps),
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


class _Learning:
    """A network with the clips it learns from, numbered on from set to set, the outliers last.

    Args:
        model: On its device.
        sets: Normal clips, target clips where it is tuned, outliers.
        plan: Steps and target items.
        recipe: Front end.
        expert: Losses and augmentation.
        chance: Generators.
    """

    def __init__(
        self,
        model: Classifier,
        sets: Sequence[Sounds],
        plan: _Plan,
        recipe: Recipe,
        expert: ClassifierExpert,
        chance: Chance,
    ) -> None:
        self._model, self._sets, self._plan, self._expert, self._chance = model, sets, plan, expert, chance
        self._device = model.mean.device
        self._front_end = LogMel(recipe.features_of(expert), torch.float32).to(self._device)
        self._samples = np.concatenate([s.samples for s in sets])
        self._first_outlier = sum(len(s) for s in sets[:-1])
        self._epoch = -(-len(self._samples) // expert.training.batch)
        self._terms: dict[str, float] = {}

    def trainee(self, seed: int) -> Trainee:
        """What the step loop needs."""
        model, training = self._model, self._expert.training
        backbone = list(model.net.parameters())
        own = {id(p) for p in backbone}
        rest = [p for p in model.parameters() if id(p) not in own]
        half, tuned = training.batch // 2, self._plan.target_items
        return Trainee(
            model=model,
            clip_losses=self._losses,
            sampler=JointSampler(
                [len(s) for s in self._sets], [half - tuned, tuned, half] if tuned else [half, half], seed
            ),
            chance=self._chance,
            names=[name for s in self._sets for name in s.names],
            description={"kind": KIND, "shape": model.shape.model_dump(mode="json")},
            groups=[(backbone, training.backbone_rate / training.learning_rate), (rest, 1.0)],
            prepare=self._prepare,
            terms=lambda: self._terms,
        )

    def _prepare(self, step: int) -> None:
        """Find the centroids at the start of each epoch, and those of the final weights."""
        if (step - 1) % self._epoch == 0 or step > self._plan.steps:
            centroids(self._model, self._sets)

    def _losses(self, indices: npt.NDArray[np.int64]) -> Tensor:
        expert, model, generator = self._expert, self._model, self._chance.masks
        x = self._mixed_with_source(self._waves(indices), indices)
        normal = torch.from_numpy((indices < self._first_outlier).astype(np.float32)).to(self._device)
        x, normal = mixup(augment(x, expert.augmentation, generator), normal, expert.augmentation.mixup, generator)
        low_precision = expert.training.precision == "bfloat16" and self._device.type == "cuda"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=low_precision):
            logits, z = model.embed(self._crops(self._front_end(x)))
        logits, z = logits.float(), z.float()
        terms = {"cross_entropy": binary_cross_entropy(logits, normal)}
        total = terms["cross_entropy"]
        if expert.losses.ddcsad:
            terms["ddcsad"] = ddcsad(z, model.normal_centroid, model.outlier_centroid, normal)
            total = total + expert.losses.ddcsad * terms["ddcsad"]
        if expert.losses.arcface:
            angles = arcface(z, model.directions, normal, expert.losses.margin, expert.losses.scale)
            terms["arcface"] = angles
            total = total + expert.losses.arcface * angles
        self._terms = {name: float(value.detach().mean()) for name, value in terms.items()}
        return total

    def _waves(self, indices: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._samples[indices]).to(self._device).float() / 32768.0

    def _mixed_with_source(self, x: Tensor, indices: npt.NDArray[np.int64]) -> Tensor:
        """The target items as pseudo-target ones: each mixed with a source clip (section 3.2)."""
        source, tuning = len(self._sets[0]), self._expert.tuning
        is_target = (indices >= source) & (indices < self._first_outlier)
        count = int(is_target.sum())
        if not count or tuning is None:
            return x
        generator = self._chance.masks
        others = torch.randint(source, (count,), generator=generator, device=generator.device).cpu().numpy()
        share = beta(count, tuning.mixup, generator)[:, None]
        where = torch.from_numpy(np.flatnonzero(is_target)).to(self._device)
        return x.index_copy(0, where, share * x[where] + (1 - share) * self._waves(others))

    def _crops(self, features: Tensor) -> Tensor:
        """One crop of each item: the window's only one, or one from anywhere."""
        shape, generator = self._model.shape, self._chance.masks
        if shape.crops == 1:
            return features[:, : shape.frames]
        last = features.shape[1] - shape.frames
        starts = torch.randint(last + 1, (len(features), 1), generator=generator, device=generator.device)
        rows = starts + torch.arange(shape.frames, device=features.device)
        return features.gather(1, rows[:, :, None].expand(-1, -1, features.shape[2]))


def centroids(model: Classifier, sets: Sequence[Sounds]) -> None:
    """Put the mean embeddings of all normal clips and of all outliers, the last set, into a network's buffers.

    In evaluation mode, without gradients, of the clips as they are.
    """
    training = model.training
    model.eval()
    normal = np.concatenate([_embeddings(model, s.features) for s in sets[:-1]])
    outliers = _embeddings(model, sets[-1].features)
    model.normal_centroid.copy_(torch.from_numpy(normal.mean(axis=0)))
    model.outlier_centroid.copy_(torch.from_numpy(outliers.mean(axis=0)))
    model.train(training)


def _embeddings(model: Classifier, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Shape (clips, embedding), the mean of a window's crops."""
    return np.asarray(observations(model, features)[:, :, 2:].mean(axis=1))


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
