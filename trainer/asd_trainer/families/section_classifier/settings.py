"""Settings of the official MobileNetV2."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asd_trainer.families.excerpt_family import ExcerptExpert
from asd_trainer.families.settings import EpochSettings


class SectionExpert(ExcerptExpert):
    """The official MobileNetV2: tells a machine's sections apart and is unsure of what is abnormal.

    Attributes:
        frames: Frames of the excerpts that are classified.
        hop: Frames from excerpt to excerpt.
        backbone: Name in timm.
    """

    kind: Literal["section_classifier"] = "section_classifier"
    frames: int = Field(default=64, ge=32)
    hop: int = Field(default=8, ge=1)
    backbone: str = "mobilenetv2_050"
    training: EpochSettings = EpochSettings(epochs=20, batch=32, learning_rate=1e-5)

    @property
    def excerpt_hop(self) -> int:
        """Frames from excerpt to excerpt."""
        return self.hop

    def for_training(self) -> SectionExpert:
        """Return the settings that decide a trained network; all others are at their defaults."""
        names = {"features", "frames", "hop", "backbone", "training"}
        return SectionExpert.model_validate(self.model_dump(include=names))
