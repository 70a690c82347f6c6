"""The official MobileNetV2 of DCASE 2021 Task 2 (Kawaguchi et al. 2021): a classifier of a machine's sections.

Batch normalisation is that of the published Keras model; the graph computes the scores of excerpts.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from asd_trainer.families.backbones import backbone
from asd_trainer.families.excerpt_training import KERAS_NORM_EPS

MOBILENET_NORM_MOMENTUM = 0.001
"""Keras's MobileNetV2 keeps 0.999 of a running average at each step."""
LEAST_PROBABILITY = 2.0**-52
"""Smallest probability in a logarithm, as in the official score."""


class SectionShape(BaseModel):
    """Shape of a section classifier; see `asd_trainer.families.section_classifier.settings.SectionExpert`."""

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
        shape: Shape of the network.
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
        """Number of excerpts of a window."""
        return (self.shape.total_frames - self.shape.frames) // self.shape.hop + 1

    def logits(self, excerpts: Tensor) -> Tensor:
        """Return logits of excerpts, shape (items, frames, n_mels) to (items, sections); all channels are equal."""
        found: Tensor = self.net(excerpts[:, None].expand(-1, 3, -1, -1))
        return found

    def forward(self, features: Tensor, section: Tensor) -> Tensor:
        """Return log((1 - p) / p) of each excerpt, where p is the probability of the right section.

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
        """Return random input such as the graph gets."""
        generator = torch.Generator().manual_seed(batch)
        cells = (batch, self.shape.total_frames, self.shape.n_mels)
        section = torch.arange(batch).float() % self.shape.sections
        return -40 + 10 * torch.randn(cells, generator=generator), section
