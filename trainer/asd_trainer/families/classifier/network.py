"""A binary classifier with an embedding (section 2.2 of the paper): normal or not, and how far from the normal ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from asd_trainer.data.clips import LEAST_STD_DB
from asd_trainer.families.backbones import backbone


class ClassifierShape(BaseModel):
    """Shape of a classifier; see `asd_trainer.families.classifier.settings.ClassifierSettings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_mels: int
    total_frames: int
    frames: int = 256
    crops: int = 1
    backbone: str = "resnet34"
    embedding: int = 128
    dropout: float = 0.3


class Classifier(nn.Module):
    """Posterior and embedding of crops of a log-mel spectrogram in decibels.

    The embedding is divided by the root of its width, so that distances do not depend on it. The centroids of the
    embeddings of normal clips and of pseudo-anomalies are buffers, computed again while training; `directions` are
    those of ArcFace, of normal clips and of pseudo-anomalies.

    Args:
        shape: Shape of the network.
        weights: Local file with the backbone's weights to begin with.
    """

    inputs: tuple[str, ...] = ("features",)
    outputs: tuple[str, ...] = ("posterior", "distance", "embedding")
    mean: Tensor
    std: Tensor
    normal_centroid: Tensor
    anomaly_centroid: Tensor

    def __init__(self, shape: ClassifierShape, weights: Path | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.net = backbone(shape.backbone, weights=weights, num_classes=0, in_chans=1)
        self.head = nn.Sequential(
            nn.Dropout(shape.dropout),
            nn.Linear(_width(self.net, shape), shape.embedding),
            nn.BatchNorm1d(shape.embedding),
            nn.PReLU(),
            nn.Linear(shape.embedding, shape.embedding),
        )
        self.posterior = nn.Linear(shape.embedding, 1)
        self.directions = nn.Parameter(torch.randn(2, shape.embedding) / shape.embedding**0.5)
        self.register_buffer("mean", torch.zeros(shape.n_mels))
        self.register_buffer("std", torch.ones(shape.n_mels))
        self.register_buffer("normal_centroid", torch.zeros(shape.embedding))
        self.register_buffer("anomaly_centroid", torch.zeros(shape.embedding))

    @property
    def starts(self) -> list[int]:
        """First frame of each crop of a window, evenly spaced; a single crop begins with the window."""
        shape = self.shape
        last = shape.total_frames - shape.frames
        return [round(i * last / (shape.crops - 1)) for i in range(shape.crops)] if shape.crops > 1 else [0]

    def set_normalisation(self, mean: npt.NDArray[np.floating], std: npt.NDArray[np.floating]) -> None:
        """Set each mel band's mean and standard deviation in decibels, both of shape (n_mels,)."""
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32))
        self.std.copy_(torch.as_tensor(np.maximum(std, LEAST_STD_DB), dtype=torch.float32))

    def crops(self, features: Tensor) -> Tensor:
        """Return crops, shape (batch, total_frames, n_mels) to (batch, crops, frames, n_mels)."""
        return torch.stack([features[:, s : s + self.shape.frames] for s in self.starts], dim=1)

    def embed(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of being normal, and embeddings.

        Args:
            crops: Decibels, shape (items, frames, n_mels).

        Returns:
            Shapes (items,) and (items, embedding).
        """
        x = (crops - self.mean) / self.std
        z = self.head(self.net(x.transpose(1, 2)[:, None]))
        return self.posterior(z)[:, 0], z / self.shape.embedding**0.5

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what Eq. 7 needs of each crop.

        Args:
            features: Decibels, shape (batch, total_frames, n_mels).

        Returns:
            Posterior of being normal and squared distance to the normal centroid, shape (batch, crops, 1), and the
            embedding, shape (batch, crops, embedding).
        """
        crops = self.crops(features)
        logits, z = self.embed(crops.flatten(0, 1))
        distance = (z - self.normal_centroid).square().sum(dim=1)
        shape = (-1, self.shape.crops, 1)
        return torch.sigmoid(logits).reshape(shape), distance.reshape(shape), z.reshape(*shape[:2], z.shape[1])

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Return random input such as the graph gets."""
        generator = torch.Generator().manual_seed(batch)
        return (-40 + 10 * torch.randn(batch, self.shape.total_frames, self.shape.n_mels, generator=generator),)


def _width(net: nn.Module, shape: ClassifierShape) -> int:
    """Width of a backbone's output for one crop; not every network of timm declares it correctly."""
    training = net.training
    net.eval()
    with torch.no_grad():
        width = int(net(torch.zeros(1, 1, shape.n_mels, shape.frames)).shape[1])
    net.train(training)
    return width
