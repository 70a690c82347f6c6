"""Binary classifiers with metric learning, one network a section (sections 2.2 and 3.2 of the paper)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.engine.settings import Computation
from asd_trainer.families.settings_parts import NetworkExpert
from asd_trainer.features.settings import SoundAugmentation
from asd_trainer.settings import Settings, with_changes

EMBEDDING = 2
"""Column of a classifier's observation where the embedding begins, after posterior and distance."""


class ClassifierSettings(Settings):
    """The network.

    Attributes:
        backbone: Name in timm, such as `resnet34`, `resnext50_32x4d` or `efficientnet_b3`.
        weights: Local file of weights to begin with; none of them are fetched. From scratch where it is not given.
        frames: Of a crop.
        crops: Crops that a window is judged by, evenly spaced; their scores are averaged.
        embedding: Width of the embedding.
        dropout: Before the embedding's layers.
    """

    backbone: str = "resnet34"
    weights: Path | None = None
    frames: int = Field(default=256, ge=8)
    crops: int = Field(default=1, ge=1)
    embedding: int = Field(default=128, ge=2)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class LossSettings(Settings):
    """Losses beside the binary cross-entropy (Eq. 4).

    Attributes:
        ddcsad: Weight λ of the double-centroid loss (Eqs. 5 and 6); 0 leaves it out.
        arcface: Weight of ArcFace; 0 leaves it out.
        margin: Of ArcFace, in radians.
        scale: Of ArcFace.
    """

    ddcsad: float = Field(default=0.1, ge=0)
    arcface: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.5, ge=0)
    scale: float = Field(default=30.0, gt=0)


class PseudoAnomalies(Settings):
    """Where the sounds come from that a network learns to tell from a section's own; never from test clips.

    Attributes:
        sources: `sections`: the machine's other sections; `machines`: the other machines of the data set; `transforms`:
            the section's own normals, altered; `simulated`: the simulator's machines; `folder`: any sounds.
        folder: Where those sounds lie.
        most: So many clips at most, drawn evenly from the sources.
        copies: Altered copies of each normal clip.
        simulated: Clips of the simulator.
    """

    sources: list[Literal["sections", "machines", "transforms", "simulated", "folder"]] = Field(
        default=["sections", "machines"], min_length=1
    )
    folder: Path | None = None
    most: int = Field(default=2000, ge=1)
    copies: int = Field(default=2, ge=1)
    simulated: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> PseudoAnomalies:
        if ("folder" in self.sources) != (self.folder is not None):
            raise ValueError("give `folder:` a path, and `sources:` the word folder, or neither")
        return self


class OneCycleSettings(Computation):
    """Adam under the one-cycle schedule (Smith and Topin 2019).

    Attributes:
        steps: Batches in all.
        batch: Items a batch, half of them normal.
        learning_rate: Peak for the layers after the backbone.
        backbone_rate: Peak for the backbone.
        clip_norm: Longest gradient; longer ones are scaled down.
    """

    steps: int = Field(default=8_000, ge=1)
    batch: int = Field(default=64, ge=2, multiple_of=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    backbone_rate: float = Field(default=5e-4, gt=0)
    clip_norm: float = Field(default=5.0, gt=0)


class TuningSettings(Settings):
    """From the source's network to the target's.

    Attributes:
        steps: Batches in all.
        target_items: Normal items of a batch that are target clips mixed with source clips.
        mixup: α of the Beta(α, α) by which these are mixed.
        rate: Share of the source's learning rates.
        folds: Networks that learn without some of the target clips, so that these can be judged.
    """

    steps: int = Field(default=800, ge=1)
    target_items: int = Field(default=16, ge=1)
    mixup: float = Field(default=0.2, gt=0)
    rate: float = Field(default=0.1, gt=0)
    folds: int = Field(default=3, ge=2)


class ClassifierVariant(Settings):
    """How some members of a pool differ from the expert's own settings; what is not named stays."""

    features: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)
    losses: dict[str, Any] = Field(default_factory=dict)
    augmentation: dict[str, Any] = Field(default_factory=dict)
    outliers: dict[str, Any] = Field(default_factory=dict)


class ClassifierExpert(NetworkExpert):
    """A network for each section that tells its normal sound from pseudo-anomalies, and where it lies.

    Attributes:
        density: Eq. 7, or the distance to the nearest clip of a bank.
        variants: What members differ in besides their seeds, round and round; the first may be empty, `{}`.
        tuning: To the target domain; None judges it by the source's network.
    """

    kind: Literal["classifier"] = "classifier"
    density: DensitySettings = DensitySettings(density="posterior_distance")
    variants: list[ClassifierVariant] = Field(default_factory=list)
    network: ClassifierSettings = ClassifierSettings()
    losses: LossSettings = LossSettings()
    augmentation: SoundAugmentation = SoundAugmentation()
    outliers: PseudoAnomalies = PseudoAnomalies()
    training: OneCycleSettings = OneCycleSettings()
    tuning: TuningSettings | None = TuningSettings()

    @model_validator(mode="after")
    def _possible_together(self) -> ClassifierExpert:
        for number in range(len(self.variants)):
            self.member(number, FeatureSpec())
        if self.tuning is not None and self.tuning.target_items > self.training.batch // 2:
            raise ValueError(
                f"{self.tuning.target_items} target items do not fit into the normal half of {self.training.batch}"
            )
        if self.density.density not in ("posterior_distance", "bank"):
            raise ValueError("a classifier's `density:` is posterior_distance or bank")
        if self.density.density == "bank" and (self.density.first != EMBEDDING or self.tuning is not None):
            raise ValueError(
                f"a bank of a classifier's embeddings begins at `first: {EMBEDDING}`, and knows the target by itself: "
                "set `tuning: null`"
            )
        if self.scorers != "condition":
            raise ValueError("`scorers: machine` is impossible: each section has a network of its own")
        return self

    def member(self, number: int, features: FeatureSpec) -> ClassifierExpert:
        """The settings of one member, its front end among them; `features` is the recipe's."""
        variant = self.variants[number % len(self.variants)] if self.variants else ClassifierVariant()
        return self.model_copy(
            update={
                "features": with_changes(self.features or features, variant.features),
                "network": with_changes(self.network, variant.network),
                "losses": with_changes(self.losses, variant.losses),
                "augmentation": with_changes(self.augmentation, variant.augmentation),
                "outliers": with_changes(self.outliers, variant.outliers),
                "variants": [],
            }
        )

    def learnt(self) -> ClassifierExpert:
        """What decides a trained network; the rest is at its defaults."""
        return ClassifierExpert(
            features=self.features,
            network=self.network,
            losses=self.losses,
            augmentation=self.augmentation,
            outliers=self.outliers,
            training=self.training,
            tuning=self.tuning,
        )
