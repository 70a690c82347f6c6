"""The official baselines of DCASE 2021 Task 2 (Kawaguchi et al. 2021): a dense autoencoder and MobileNetV2.

Layers, initial weights and batch normalisation are those of the published Keras models; graphs compute the scores.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from asd_trainer.families.classifier.backbones import backbone

KERAS_NORM_EPS = 1e-3
KERAS_NORM_MOMENTUM = 0.01
"""Keras keeps 0.99 of a running average at each step."""
MOBILENET_NORM_MOMENTUM = 0.001
"""Keras's MobileNetV2 keeps 0.999."""
LEAST_PROBABILITY = 2.0**-52
"""Below it a logarithm is cut off, as in the official score."""


class DenseShape(BaseModel):
    """What a dense autoencoder is built from; see `asd_trainer.families.settings.DenseExpert`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_mels: int
    total_frames: int
    frames: int = 5
    width: int = 128
    depth: int = 4
    bottleneck: int = 8


class DenseAutoencoder(nn.Module):
    """Reconstructs a few neighbouring frames of a log-mel spectrogram in decibels.

    Args:
        shape: What to build.
    """

    inputs: tuple[str, ...] = ("features",)
    outputs: tuple[str, ...] = ("error",)

    def __init__(self, shape: DenseShape) -> None:
        super().__init__()
        self.shape = shape
        size = shape.n_mels * shape.frames
        widths = [size, *[shape.width] * shape.depth, shape.bottleneck, *[shape.width] * shape.depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            norm = nn.BatchNorm1d(after, eps=KERAS_NORM_EPS, momentum=KERAS_NORM_MOMENTUM)
            layers += [_dense(before, after), norm, nn.ReLU()]
        self.layers = nn.Sequential(*layers, _dense(widths[-1], size))

    def squared_errors(self, items: Tensor) -> Tensor:
        """Squared error of each value of stacked frames, shape (items, frames · n_mels) to the same."""
        reconstructed: Tensor = self.layers(items)
        return (reconstructed - items).square()

    def forward(self, features: Tensor) -> Tensor:
        """Squared errors of each stack of frames, averaged over the frames in it.

        Args:
            features: Decibels, shape (batch, total_frames, n_mels).

        Returns:
            Shape (batch, total_frames - frames + 1, n_mels); the mean over all is the official score.
        """
        shape = self.shape
        stacks = shape.total_frames - shape.frames + 1
        items = torch.cat([features[:, i : i + stacks] for i in range(shape.frames)], dim=2)
        errors = self.squared_errors(items.reshape(-1, shape.frames * shape.n_mels))
        return errors.reshape(-1, stacks, shape.frames, shape.n_mels).mean(dim=2)

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Random input such as the graph will get."""
        generator = torch.Generator().manual_seed(batch)
        return (-40 + 10 * torch.randn(batch, self.shape.total_frames, self.shape.n_mels, generator=generator),)


class SectionShape(BaseModel):
    """What a section classifier is built from; see `asd_trainer.families.settings.SectionExpert`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_mels: int
    total_frames: int
    sections: int
    frames: int = 64
    hop: int = 8
    backbone: str = "mobilenetv2_050"


class SectionClassifier(nn.Module):
    """Tells a machine's sections apart by excerpts of a log-mel spectrogram in decibels.

    Args:
        shape: What to build.
    """

    inputs: tuple[str, ...] = ("features", "section")
    outputs: tuple[str, ...] = ("error",)

    def __init__(self, shape: SectionShape) -> None:
        super().__init__()
        self.shape = shape
        self.net = backbone(
            shape.backbone,
            num_classes=shape.sections,
            in_chans=3,
            drop_rate=0.0,
            bn_eps=KERAS_NORM_EPS,
            bn_momentum=MOBILENET_NORM_MOMENTUM,
        )

    @property
    def excerpts(self) -> int:
        """Excerpts of a window."""
        return (self.shape.total_frames - self.shape.frames) // self.shape.hop + 1

    def logits(self, excerpts: Tensor) -> Tensor:
        """Shape (items, frames, n_mels) to (items, sections); the three channels are the same."""
        found: Tensor = self.net(excerpts[:, None].expand(-1, 3, -1, -1))
        return found

    def forward(self, features: Tensor, section: Tensor) -> Tensor:
        """log((1 - p) / p) of each excerpt, where p is the probability of the right section.

        Args:
            features: Decibels, shape (batch, total_frames, n_mels).
            section: Place of the right section among the machine's, shape (batch,).

        Returns:
            Shape (batch, excerpts, 1); the mean over all is the official score.
        """
        starts = range(0, self.excerpts * self.shape.hop, self.shape.hop)
        excerpts = torch.stack([features[:, s : s + self.shape.frames] for s in starts], dim=1)
        logits = self.logits(excerpts.flatten(0, 1)).reshape(-1, len(starts), self.shape.sections)
        places = torch.arange(self.shape.sections, device=features.device)
        right = (section[:, None].round() == places).float()[:, None, :]
        p = (functional.softmax(logits, dim=2) * right).sum(dim=2, keepdim=True)
        return torch.log((1 - p).clamp(min=LEAST_PROBABILITY)) - torch.log(p.clamp(min=LEAST_PROBABILITY))

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Random input such as the graph will get."""
        generator = torch.Generator().manual_seed(batch)
        cells = (batch, self.shape.total_frames, self.shape.n_mels)
        section = torch.arange(batch).float() % self.shape.sections
        return -40 + 10 * torch.randn(cells, generator=generator), section


def _dense(before: int, after: int) -> nn.Linear:
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight)  # Keras's default
    nn.init.zeros_(layer.bias)
    return layer
