"""Settings of the official autoencoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asd_trainer.families.excerpt_family import ExcerptExpert
from asd_trainer.families.settings import EpochSettings


class DenseExpert(ExcerptExpert):
    """The official autoencoder: a few neighbouring frames in, the same frames out.

    Attributes:
        frames: Neighbouring frames that are one item.
        width: Width of the hidden layers, `depth` on either side of the bottleneck.
        depth: Number of these layers.
        bottleneck: Width of the narrowest layer.
    """

    kind: Literal["dense_autoencoder"] = "dense_autoencoder"
    frames: int = Field(default=5, ge=1)
    width: int = Field(default=128, ge=1)
    depth: int = Field(default=4, ge=1)
    bottleneck: int = Field(default=8, ge=1)
    training: EpochSettings = EpochSettings(epochs=100, batch=512, learning_rate=1e-3)

    def for_training(self) -> DenseExpert:
        """Return the settings that decide a trained network; all others are at their defaults."""
        names = {"features", "frames", "width", "depth", "bottleneck", "training"}
        return DenseExpert.model_validate(self.model_dump(include=names))
