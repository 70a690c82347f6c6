"""Settings of binary classifiers with metric learning, one network a section (sections 2.2 and 3.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.layout import Clip
from asd_trainer.engine.settings import Computation
from asd_trainer.families.settings import NetworkExpert
from asd_trainer.features.settings import SoundAugmentation
from asd_trainer.settings import Settings, with_changes

EMBEDDING = 2
"""Column of a classifier's output where the embedding begins, after posterior and distance."""
PSEUDO_ANOMALIES = AliasChoices("pseudo_anomalies", "outliers")
"""Key of pseudo-anomalies in a recipe, and the one of earlier versions."""


class ClassifierSettings(Settings):
    """The network.

    Attributes:
        backbone: Name in timm, such as `resnet34`, `resnext50_32x4d` or `efficientnet_b3`.
        weights: Local file of initial weights; nothing is downloaded. Training begins from scratch without it.
        frames: Frames of a crop.
        crops: Number of evenly spaced crops by which a window is judged; their scores are averaged.
        embedding: Width of the embedding.
        dropout: Share of units dropped before the embedding's layers, while training.
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
        margin: Margin of ArcFace, in radians.
        scale: Scale of ArcFace.
    """

    ddcsad: float = Field(default=0.1, ge=0)
    arcface: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.5, ge=0)
    scale: float = Field(default=30.0, gt=0)


class PseudoAnomalies(Settings):
    """Sources of the sounds that a network learns to tell from a section's own; test clips are never among them.

    Attributes:
        sources: `sections`: the machine's other sections; `machines`: the other machines of the data set; `transforms`:
            the section's own normal clips, transformed; `simulated`: the simulator's machines; `folder`: any sounds.
        folder: Folder of those sounds.
        most: Largest number of clips, drawn evenly from the sources.
        copies: Transformed copies of each normal clip.
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
        steps: Number of batches.
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
    """Tuning of the source's network to the target.

    Attributes:
        steps: Number of batches.
        target_items: Normal items of a batch that are target clips mixed with source clips.
        mixup: α of the Beta(α, α) by which these are mixed.
        rate: Share of the source's learning rates.
        folds: Number of networks that are tuned without some of the target clips, so that these can be judged.
    """

    steps: int = Field(default=800, ge=1)
    target_items: int = Field(default=16, ge=1)
    mixup: float = Field(default=0.2, gt=0)
    rate: float = Field(default=0.1, gt=0)
    folds: int = Field(default=3, ge=2)


class ClassifierVariant(Settings):
    """Differences of some members of a pool from the expert's own settings; what is not named stays."""

    features: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)
    losses: dict[str, Any] = Field(default_factory=dict)
    augmentation: dict[str, Any] = Field(default_factory=dict)
    pseudo_anomalies: dict[str, Any] = Field(default_factory=dict, validation_alias=PSEUDO_ANOMALIES)


class ClassifierExpert(NetworkExpert):
    """A network for each section that tells its normal sound from pseudo-anomalies, with an embedding.

    Attributes:
        density: Eq. 7 with both terms standardised or as printed, or the distance to the nearest clip of a bank.
        variants: Differences of the members besides their seeds, one after another and then from the first again; a
            variant may be empty, `{}`.
        pseudo_anomalies: Sounds on the other side.
        tuning: Tuning to the target domain; None judges it by the source's network.
    """

    kind: Literal["classifier"] = "classifier"
    density: DensitySettings = DensitySettings(density="logit_distance")
    variants: list[ClassifierVariant] = Field(default_factory=list)
    network: ClassifierSettings = ClassifierSettings()
    losses: LossSettings = LossSettings()
    augmentation: SoundAugmentation = SoundAugmentation()
    pseudo_anomalies: PseudoAnomalies = Field(default=PseudoAnomalies(), validation_alias=PSEUDO_ANOMALIES)
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
        if self.density.density not in ("logit_distance", "posterior_distance", "bank"):
            raise ValueError("a classifier's `density:` is logit_distance, posterior_distance or bank")
        if self.density.density == "bank" and (self.density.first != EMBEDDING or self.tuning is not None):
            raise ValueError(
                f"a bank of a classifier's embeddings begins at `first: {EMBEDDING}`, and knows the target by itself: "
                "set `tuning: null`"
            )
        if self.scorers != "condition":
            raise ValueError("`scorers: machine` is impossible: each section has a network of its own")
        if self.fitted_to != "unlearnt":
            raise ValueError("`fitted_to: all` is impossible: a classifier is sure of what it has learnt")
        return self

    def member(self, number: int, features: FeatureSpec) -> ClassifierExpert:
        """Return the settings of one member, its front end among them; `features` is the recipe's."""
        variant = self.variants[number % len(self.variants)] if self.variants else ClassifierVariant()
        return self.model_copy(
            update={
                "features": with_changes(self.features or features, variant.features),
                "network": with_changes(self.network, variant.network),
                "losses": with_changes(self.losses, variant.losses),
                "augmentation": with_changes(self.augmentation, variant.augmentation),
                "pseudo_anomalies": with_changes(self.pseudo_anomalies, variant.pseudo_anomalies),
                "variants": [],
            }
        )

    def check_members(self, features: FeatureSpec) -> None:
        """Check that every variant fits the recipe's front end."""
        for number in range(len(self.variants)):
            self.member(number, features)

    def for_training(self) -> ClassifierExpert:
        """Return the settings that decide a trained network; all others are at their defaults."""
        return ClassifierExpert(
            features=self.features,
            network=self.network,
            losses=self.losses,
            augmentation=self.augmentation,
            pseudo_anomalies=self.pseudo_anomalies,
            training=self.training,
            tuning=self.tuning,
        )

    def steps(self, target: Sequence[Clip]) -> int:
        """Return the steps of a section: of its network, of its tuning to the target clips, and without each fold."""
        if self.tuning is None or not target:
            return self.training.steps
        recordings = len({c.recording for c in target})
        without = min(self.tuning.folds, recordings) if recordings > 1 else 0
        return self.training.steps + (1 + without) * self.tuning.steps

    def with_sounds_in(self, folder: Path) -> ClassifierExpert:
        """Return the same settings with the folder of pseudo-anomalies at another place."""
        moved = self.pseudo_anomalies.model_copy(update={"folder": folder})
        return self.model_copy(update={"pseudo_anomalies": moved})
