"""The official autoencoder of DCASE 2021 Task 2 (Kawaguchi et al. 2021): dense layers over a few frames.

Layers, initial weights and batch normalisation are those of the published Keras model; the graph computes the errors.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from asd_trainer.families.excerpt_training import KERAS_NORM_EPS

KERAS_NORM_MOMENTUM = 0.01
"""Keras keeps 0.99 of a running average at each step."""


class DenseShape(BaseModel):
    """Shape of a dense autoencoder; see `asd_trainer.families.dense_autoencoder.settings.DenseExpert`."""

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
        shape: Shape of the network.
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
        """Return the squared error of each value of stacked frames, shape (items, frames · n_mels) to the same."""
        reconstructed: Tensor = self.layers(items)
        return (reconstructed - items).square()

    def forward(self, features: Tensor) -> Tensor:
        """Return the squared errors of each stack of frames, averaged over the frames in it.

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
        """Return random input such as the graph gets."""
        generator = torch.Generator().manual_seed(batch)
        return (-40 + 10 * torch.randn(batch, self.shape.total_frames, self.shape.n_mels, generator=generator),)


def _dense(before: int, after: int) -> nn.Linear:
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight)  # Keras's default
    nn.init.zeros_(layer.bias)
    return layer
