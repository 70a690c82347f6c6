"""The objective of a classifier: losses of batches of sounds, and centroids that are computed again each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.device_dataset import DeviceDataset, send
from asd_trainer.engine.loop import TrainingTask
from asd_trainer.engine.precision import autocast, compiled, for_convolutions
from asd_trainer.engine.randomness import JointSampler, TrainingRandomness
from asd_trainer.families.classifier.losses import arcface, binary_cross_entropy, ddcsad
from asd_trainer.families.classifier.network import Classifier
from asd_trainer.families.classifier.settings import EMBEDDING, ClassifierExpert
from asd_trainer.features.log_mel import LogMel
from asd_trainer.features.waveform_augment import augment, beta, mixup

KIND = "classifier"
_AT_ONCE = 64
"""Clips that the network infers from at once."""


@dataclass(frozen=True)
class Stage:
    """One training: of the source's network, or its tuning to the target.

    Attributes:
        steps: Number of batches.
        peak: Largest learning rate of the layers after the backbone.
        target_items: Target items in each batch.
    """

    steps: int
    peak: float
    target_items: int


class ClassifierObjective:
    """A network with the clips that it learns, numbered on from set to set, pseudo-anomalies last.

    Args:
        model: Network, on its device.
        sets: Normal clips, target clips where it is tuned, pseudo-anomalies; each with samples and log-mels.
        stage: Steps and target items.
        expert: Front end, losses and augmentation.
        randomness: Generators of everything random.
    """

    def __init__(
        self,
        model: Classifier,
        sets: Sequence[ClipSet],
        stage: Stage,
        expert: ClassifierExpert,
        randomness: TrainingRandomness,
    ) -> None:
        self._model, self._sets, self._stage, self._expert, self._randomness = model, sets, stage, expert, randomness
        self._device = model.mean.device
        self._front_end = LogMel(expert.features or FeatureSpec(), torch.float32).to(self._device)
        self._samples = DeviceDataset(np.concatenate([s.samples for s in sets]), self._device)
        self._features = [DeviceDataset(s.features, self._device) for s in sets]
        for_convolutions(model.net, self._device)
        compiled(model.net, expert.training)
        self._first_anomaly = sum(len(s) for s in sets[:-1])
        self._epoch = -(-len(self._samples) // expert.training.batch)
        self._terms: dict[str, Tensor] = {}

    def task(self, seed: int) -> TrainingTask:
        """Return what the step loop trains."""
        model, training = self._model, self._expert.training
        backbone = list(model.net.parameters())
        own = {id(p) for p in backbone}
        rest = [p for p in model.parameters() if id(p) not in own]
        half, tuned = training.batch // 2, self._stage.target_items
        return TrainingTask(
            model=model,
            clip_losses=self._losses,
            sampler=JointSampler(
                [len(s) for s in self._sets], [half - tuned, tuned, half] if tuned else [half, half], seed
            ),
            randomness=self._randomness,
            names=[name for s in self._sets for name in s.names],
            description={"kind": KIND, "shape": model.shape.model_dump(mode="json")},
            groups=[(backbone, training.backbone_rate / training.learning_rate), (rest, 1.0)],
            prepare=self._prepare,
            terms=lambda: self._terms,
        )

    def _prepare(self, step: int) -> None:
        """Compute the centroids at the start of each epoch, and those of the final weights, which are in float32."""
        if step > self._stage.steps:
            centroids(self._model, self._features)
        elif (step - 1) % self._epoch == 0:
            with autocast(self._device, self._expert.training):
                centroids(self._model, self._features)

    def _losses(self, indices: npt.NDArray[np.int64]) -> Tensor:
        expert, model, generator = self._expert, self._model, self._randomness.masks
        x = self._mixed_with_source(self._waves(indices), indices)
        normal = send((indices < self._first_anomaly).astype(np.float32), self._device)
        x = augment(x, expert.augmentation, generator)
        if self._stage.target_items:  # the paper mixes for the target alone
            x, normal = mixup(x, normal, expert.augmentation.mixup, generator, self._randomness.host)
        crops = self._crops(self._front_end(x))
        with autocast(self._device, expert.training):
            logits, z = model.embed(crops)
        logits, z = logits.float(), z.float()
        terms = {"cross_entropy": binary_cross_entropy(logits, normal)}
        total = terms["cross_entropy"]
        if expert.losses.ddcsad:
            terms["ddcsad"] = ddcsad(z, model.normal_centroid, model.anomaly_centroid, normal)
            total = total + expert.losses.ddcsad * terms["ddcsad"]
        if expert.losses.arcface:
            angles = arcface(z, model.directions, normal, expert.losses.margin, expert.losses.scale)
            terms["arcface"] = angles
            total = total + expert.losses.arcface * angles
        self._terms = {name: value.detach().mean() for name, value in terms.items()}
        return total

    def _waves(self, indices: npt.NDArray[np.int64]) -> Tensor:
        return self._samples.take(indices).float() / 32768.0

    def _mixed_with_source(self, x: Tensor, indices: npt.NDArray[np.int64]) -> Tensor:
        """Make pseudo-target items of the target items: mix each with a source clip (section 3.2)."""
        source, tuning = len(self._sets[0]), self._expert.tuning
        is_target = (indices >= source) & (indices < self._first_anomaly)
        count = int(is_target.sum())
        if not count or tuning is None:
            return x
        others = torch.randint(source, (count,), generator=self._randomness.host).numpy()
        share = beta(count, tuning.mixup, self._randomness.host, self._device)[:, None]
        where = send(np.flatnonzero(is_target), self._device)
        return x.index_copy(0, where, share * x[where] + (1 - share) * self._waves(others))

    def _crops(self, features: Tensor) -> Tensor:
        """Cut one crop of each item: the window's only one, or one at a random place."""
        shape, generator = self._model.shape, self._randomness.masks
        if shape.crops == 1:
            return features[:, : shape.frames]
        last = features.shape[1] - shape.frames
        starts = torch.randint(last + 1, (len(features), 1), generator=generator, device=generator.device)
        rows = starts + torch.arange(shape.frames, device=features.device)
        return features.gather(1, rows[:, :, None].expand(-1, -1, features.shape[2]))


def centroids(model: Classifier, sets: Sequence[DeviceDataset]) -> None:
    """Put the mean embeddings of normal clips and of pseudo-anomalies, the last set, into a network's buffers.

    They come from the clips' own log-mels, in evaluation mode and without gradients.
    """
    training = model.training
    model.eval()
    normal = np.concatenate([_embeddings(model, features) for features in sets[:-1]])
    anomalies = _embeddings(model, sets[-1])
    model.normal_centroid.copy_(torch.from_numpy(normal.mean(axis=0)))
    model.anomaly_centroid.copy_(torch.from_numpy(anomalies.mean(axis=0)))
    model.train(training)


def _embeddings(model: Classifier, features: DeviceDataset) -> npt.NDArray[np.float32]:
    """Mean embedding of each clip's crops, shape (clips, embedding)."""
    return np.asarray(infer(model, features)[:, :, EMBEDDING:].mean(axis=1))


def infer(model: Classifier, features: npt.NDArray[np.float32] | DeviceDataset) -> npt.NDArray[np.float32]:
    """Return what the exported graph would give for clips, shape (clips, crops, 2 + embedding)."""
    clips = features if isinstance(features, DeviceDataset) else DeviceDataset(features, model.mean.device)
    numbers = np.arange(len(clips))
    with torch.no_grad():
        parts = [
            torch.cat([part.float() for part in model(clips.take(numbers[i : i + _AT_ONCE]))], dim=2)
            for i in range(0, len(clips), _AT_ONCE)
        ]
    return np.asarray(torch.cat(parts).cpu().numpy())
