"""The official baselines of DCASE 2021 Task 2."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.families.settings_parts import NetworkExpert
from asd_trainer.settings import Settings


class EpochSettings(Settings):
    """Adam at a constant rate over whole epochs, as the official baselines are trained.

    Attributes:
        epochs: How often every item is seen.
        batch: Items a batch.
        learning_rate: Of every step.
    """

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)

    def steps(self, items: int) -> int:
        """Batches in all epochs of so many items."""
        return self.epochs * -(-items // self.batch)


class BaselineExpert(NetworkExpert):
    """An official baseline of DCASE 2021 Task 2: trained on both domains, its observations averaged into one score."""

    density: DensitySettings = DensitySettings(density="mean")
    scorers: Literal["condition", "machine"] = "machine"


class DenseExpert(BaselineExpert):
    """The official autoencoder: a few neighbouring frames in, the same frames out.

    Attributes:
        frames: Neighbouring frames that are one item.
        width: Of the hidden layers, `depth` on either side of the bottleneck.
        bottleneck: Width of the narrowest layer.
    """

    kind: Literal["dense_autoencoder"] = "dense_autoencoder"
    frames: int = Field(default=5, ge=1)
    width: int = Field(default=128, ge=1)
    depth: int = Field(default=4, ge=1)
    bottleneck: int = Field(default=8, ge=1)
    training: EpochSettings = EpochSettings(epochs=100, batch=512, learning_rate=1e-3)

    def member(self, number: int, features: FeatureSpec) -> DenseExpert:  # noqa: ARG002 - all members are alike
        """The settings of one member, its front end among them; `features` is the recipe's."""
        return self.model_copy(update={"features": self.features or features})

    def learnt(self) -> DenseExpert:
        """What decides a trained network; the rest is at its defaults."""
        names = {"features", "frames", "width", "depth", "bottleneck", "training"}
        return DenseExpert.model_validate(self.model_dump(include=names))


class SectionExpert(BaselineExpert):
    """The official MobileNetV2: tells a machine's sections apart and is unsure of what is abnormal.

    Attributes:
        frames: Of the excerpts that are classified.
        hop: Frames from excerpt to excerpt.
        backbone: Name in timm.
    """

    kind: Literal["section_classifier"] = "section_classifier"
    frames: int = Field(default=64, ge=32)
    hop: int = Field(default=8, ge=1)
    backbone: str = "mobilenetv2_050"
    training: EpochSettings = EpochSettings(epochs=20, batch=32, learning_rate=1e-5)

    def member(self, number: int, features: FeatureSpec) -> SectionExpert:  # noqa: ARG002 - all members are alike
        """The settings of one member, its front end among them; `features` is the recipe's."""
        return self.model_copy(update={"features": self.features or features})

    def learnt(self) -> SectionExpert:
        """What decides a trained network; the rest is at its defaults."""
        names = {"features", "frames", "hop", "backbone", "training"}
        return SectionExpert.model_validate(self.model_dump(include=names))
