"""A network that embeds a window: 1-D convolutions over its whole spectrum, residual ones over short-time transforms.

The layout is that of published systems (Wilkinghoff 2021): no bias before a normalisation, magnitudes less their
average over time, the maximum over time, and the branches' embeddings concatenated.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from asd_trainer.families.embedding.settings import EmbeddingSettings

SPECTRUM_LAYERS = ((256, 64), (64, 32), (16, 4))
"""Kernel and stride of each convolution over the spectrum."""
STAGES = 4


class EmbeddingShape(BaseModel):
    """Shape of an embedding network.

    Attributes:
        network: Its settings.
        samples: Samples of a window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: EmbeddingSettings
    samples: int


class EmbeddingNetwork(nn.Module):
    """Embeds windows.

    Args:
        shape: Shape of the network.
    """

    outputs: tuple[str, ...] = ("embedding",)

    def __init__(self, shape: EmbeddingShape) -> None:
        super().__init__()
        self.shape = shape
        network = shape.network
        self.inputs = tuple(network.inputs)
        branches: list[nn.Module] = []
        if network.spectrum is not None:
            (bins,) = network.spectrum.shape(shape.samples)
            branches.append(SpectrumBranch(bins, network.spectrum_channels, network.embedding))
        for spec in network.stfts:
            _, bins = spec.shape(shape.samples)
            branches.append(StftBranch(bins, network.channels, network.embedding))
        self.branches = nn.ModuleList(branches)

    @property
    def dimensions(self) -> int:
        """Width of an embedding."""
        return len(self.inputs) * self.shape.network.embedding

    def parts(self, *inputs: Tensor) -> list[Tensor]:
        """Return each branch's embedding, shape (batch, embedding)."""
        return [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return embeddings as unit vectors.

        Args:
            inputs: Magnitudes in the order of `inputs`: spectra of shape (batch, bins), short-time transforms of shape
                (batch, frames, bins).

        Returns:
            Shape (batch, 1, dimensions).
        """
        return functional.normalize(torch.cat(self.parts(*inputs), dim=1), dim=1)[:, None, :]

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Return random input such as the graph gets."""
        generator = torch.Generator().manual_seed(batch)
        shapes = [spec.shape(self.shape.samples) for spec in self.shape.network.inputs.values()]
        return tuple(0.02 * torch.randn(batch, *shape, generator=generator).abs() for shape in shapes)


class SpectrumBranch(nn.Module):
    """Three convolutions over a window's spectrum and three layers after them.

    Args:
        bins: Bins of the spectrum.
        channels: Channels of each convolution.
        embedding: Width of the result.
    """

    def __init__(self, bins: int, channels: int, embedding: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm1d(1)]
        before, length = 1, bins
        for kernel, stride in SPECTRUM_LAYERS:
            layers += [nn.Conv1d(before, channels, kernel, stride, kernel // 2, bias=False), *_after(channels)]
            before, length = channels, (length + 2 * (kernel // 2) - kernel) // stride + 1
        layers += [nn.Flatten()]
        width = channels * length
        for _ in range(2):
            layers += [nn.Linear(width, embedding, bias=False), *_after(embedding)]
            width = embedding
        self.layers = nn.Sequential(*layers, nn.Linear(width, embedding, bias=False))

    def forward(self, spectrum: Tensor) -> Tensor:
        """Embed spectra, shape (batch, bins) to (batch, embedding)."""
        found: Tensor = self.layers(spectrum[:, None])
        return found


class StftBranch(nn.Module):
    """A small residual network over a short-time transform.

    Args:
        bins: Bins of the transform.
        channels: Channels of the first stage.
        embedding: Width of the result.
    """

    def __init__(self, bins: int, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels, 7, 2, 3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        stages: list[nn.Module] = []
        height, width = _halved(_halved(bins)), channels
        for stage in range(STAGES):
            stride = 1 if stage == 0 else 2
            after = channels * 2**stage
            stages += [Residual(width, after, stride), Residual(after, after, 1)]
            height, width = height if stage == 0 else _halved(height), after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.BatchNorm1d(width * height), nn.Linear(width * height, embedding, bias=False))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Embed transforms, shape (batch, frames, bins) to (batch, embedding)."""
        moving = magnitudes - magnitudes.mean(dim=1, keepdim=True)  # what does not change is the spectrum's part
        x = self.stages(self.stem(self.norm(moving[:, None])))  # (batch, channels, frames, bins)
        found: Tensor = self.head(x.amax(dim=2).flatten(1))
        return found


class Residual(nn.Module):
    """Two convolutions with a shortcut around them.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        stride: Stride of the first convolution, in both directions.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            *_after(after, nn.BatchNorm2d),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        alike = before == after and stride == 1
        self.around = nn.Identity() if alike else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, shape (batch, before, frames, bins) to (batch, after, frames / stride, bins / stride)."""
        return functional.relu(self.layers(x) + self.around(x))


def _after(channels: int, norm: type[nn.Module] = nn.BatchNorm1d) -> tuple[nn.Module, nn.Module]:
    return norm(channels), nn.ReLU()


def _halved(length: int) -> int:
    return (length + 1) // 2
