"""The conformer autoencoder with section ID regression: log-mels in, reconstruction errors out (Eq. 1 of the paper)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from asd_trainer.data.clips import LEAST_STD_DB
from asd_trainer.families.autoencoder.conformer import Conformer
from asd_trainer.families.autoencoder.settings import ConformerSettings


class AutoencoderShape(BaseModel):
    """Shape of an autoencoder.

    Attributes:
        n_mels: Number of mel bands.
        frames: Frames of a window.
        id_regression: Whether the section's value is an input and regressed.
        network: Size of the conformer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_mels: int
    frames: int
    id_regression: bool = True
    network: ConformerSettings = ConformerSettings()


class Autoencoder(nn.Module):
    """Reconstructs a log-mel spectrogram of which some cells are hidden.

    Every mel band is normalised inside the network by the mean and standard deviation of the training data; a hidden
    cell is filled with 0, the mean. The section's value is appended to every frame and regressed with the features.

    Args:
        shape: Shape of the network.
    """

    inputs: tuple[str, ...] = ("features", "keep", "section")
    outputs: tuple[str, ...] = ("error",)
    mean: Tensor
    std: Tensor

    def __init__(self, shape: AutoencoderShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.n_mels + int(shape.id_regression)
        self.register_buffer("mean", torch.zeros(shape.n_mels))
        self.register_buffer("std", torch.ones(shape.n_mels))
        self.enter = nn.Linear(width, shape.network.units)
        self.conformer = Conformer(shape.frames, shape.network)
        self.leave = nn.Linear(shape.network.units, width)

    def set_normalisation(self, mean: npt.NDArray[np.floating], std: npt.NDArray[np.floating]) -> None:
        """Set each mel band's mean and standard deviation in decibels, both of shape (n_mels,)."""
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32))
        self.std.copy_(torch.as_tensor(np.maximum(std, LEAST_STD_DB), dtype=torch.float32))

    def forward(self, features: Tensor, keep: Tensor, section: Tensor) -> Tensor:
        """Return the reconstruction error e = |x̂ - x| of every frame (Eq. 1), against the input without masks.

        Args:
            features: Decibels, shape (batch, frames, n_mels).
            keep: 1 keeps a cell, 0 hides it, shape (batch, frames, n_mels).
            section: Scaled section value, shape (batch,); ignored without ID regression.

        Returns:
            In standard deviations of each band, shape (batch, frames, n_mels + 1), the last column the section's;
            (batch, frames, n_mels) without ID regression.
        """
        x = (features - self.mean) / self.std
        shown = x * keep
        if self.shape.id_regression:
            value = section[:, None, None].expand(-1, self.shape.frames, 1)
            x = torch.cat([x, value], dim=2)
            shown = torch.cat([shown, value], dim=2)
        reconstructed = self.leave(self.conformer(self.enter(shown)))
        return torch.abs(reconstructed - x)

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Return random input such as the graph gets."""
        generator = torch.Generator().manual_seed(batch)
        cells = (batch, self.shape.frames, self.shape.n_mels)
        features = self.mean.cpu() + self.std.cpu() * torch.randn(cells, generator=generator)
        keep = (torch.rand(cells, generator=generator) < 0.7).float()
        return features, keep, torch.rand(batch, generator=generator)
