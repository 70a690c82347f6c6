"""Conformer autoencoders: network, masks, training and replicas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.engine.settings import Computation
from asd_trainer.families.settings import NetworkExpert
from asd_trainer.features.settings import MaskSettings
from asd_trainer.settings import Settings, with_changes


class ConformerSettings(Settings):
    """The network of Gulati et al. 2020.

    Attributes:
        blocks: Number of conformer blocks.
        units: Width of the sequence between blocks.
        heads: Number of attention heads; it divides the units.
        kernel: Frames of the depthwise convolution; odd.
        feedforward: Width inside the feed-forward modules.
        dropout: Share of units dropped inside the blocks, while training.
    """

    blocks: int = Field(default=4, ge=1)
    units: int = Field(default=256, ge=2, multiple_of=2)
    heads: int = Field(default=4, ge=1)
    kernel: int = Field(default=7, ge=1)
    feedforward: int = Field(default=1024, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _possible(self) -> ConformerSettings:
        if self.units % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.units} units")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; it must be odd")
        return self


class TrainingSettings(Computation):
    """Adam with a warm-up schedule.

    Attributes:
        steps: Number of batches.
        batch: Clips a batch.
        warmup_steps: Steps until the learning rate is at its peak.
        learning_rate: The peak; see `asd_trainer.engine.schedule`.
        clip_norm: Longest gradient; longer ones are scaled down.
    """

    steps: int = Field(default=50_000, ge=1)
    batch: int = Field(default=64, ge=1)
    warmup_steps: int = Field(default=8_000, ge=1)
    learning_rate: float = Field(default=7e-4, gt=0)
    clip_norm: float = Field(default=5.0, gt=0)


class Replicas(Settings):
    """Test-time replicas of a window, each with its own masks from the bundle's fixed bank.

    Attributes:
        count: Number of replicas.
        pooling: From the replicas' errors to one error.
        masked: Whether cells are hidden; without masks there is one replica.
        cells: Cells whose errors count: all, or only those that the replica's mask hides.
    """

    count: int = Field(default=8, ge=1)
    pooling: Literal["mean", "max"] = "mean"
    masked: bool = True
    cells: Literal["all", "masked"] = "all"

    @model_validator(mode="after")
    def _possible(self) -> Replicas:
        if not self.masked and (self.count > 1 or self.cells == "masked"):
            raise ValueError(
                "replicas without masks are all the same: with `masked: false` give `count: 1` and no cells"
            )
        return self


class Variant(Settings):
    """Differences of some members of a pool from the expert's own settings; what is not named stays.

    Attributes:
        features: Values of the front end (the paper's mel condition).
        network: Values of the network's size and kernel.
        masks: Values of the masks, which may have to follow the front end.
    """

    features: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)
    masks: dict[str, Any] = Field(default_factory=dict)


class AutoencoderExpert(NetworkExpert):
    """Conformer autoencoders, one network a machine (sections 2.1 and 3.1 of the paper).

    Attributes:
        variants: Differences of the members besides their seeds: member 0 has the first variant, member 1 the second,
            and after the last the first again. A variant may be empty, `{}`.
        id_regression: Whether the section's value is an input of each frame and regressed with it.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    variants: list[Variant] = Field(default_factory=list)
    id_regression: bool = True
    network: ConformerSettings = ConformerSettings()
    masks: MaskSettings = MaskSettings()
    training: TrainingSettings = TrainingSettings()
    replicas: Replicas = Replicas()

    @model_validator(mode="after")
    def _variants_possible(self) -> AutoencoderExpert:
        for variant in self.variants:
            with_changes(self.features or FeatureSpec(), variant.features)
            with_changes(self.network, variant.network)
            with_changes(self.masks, variant.masks)
        return self

    def member(self, number: int, features: FeatureSpec) -> AutoencoderExpert:
        """Return the settings of one member, its front end among them; `features` is the recipe's."""
        variant = self.variants[number % len(self.variants)] if self.variants else Variant()
        return self.model_copy(
            update={
                "features": with_changes(self.features or features, variant.features),
                "network": with_changes(self.network, variant.network),
                "masks": with_changes(self.masks, variant.masks),
                "variants": [],
            }
        )

    def check_members(self, features: FeatureSpec) -> None:
        """Check that every variant fits the recipe's front end."""
        for number in range(len(self.variants)):
            self.member(number, features)

    def for_training(self) -> AutoencoderExpert:
        """Return the settings that decide a trained network; all others are at their defaults."""
        return AutoencoderExpert(
            features=self.features,
            id_regression=self.id_regression,
            network=self.network,
            masks=self.masks,
            training=self.training,
        )
