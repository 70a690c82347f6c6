"""Settings of embeddings that tell machines, sections, attributes and domains apart: one network for all machines."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from asd_agent.bundle.manifest import without
from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import SpectrumSpec, StftSpec
from asd_trainer.engine.settings import Computation
from asd_trainer.families.settings import EpochSettings, NetworkExpert
from asd_trainer.settings import Settings


class EmbeddingSettings(Settings):
    """The network: a branch for the spectrum of the whole window, one for each short-time transform.

    Attributes:
        spectrum: Front end of the first branch; None leaves the branch out.
        stfts: Front ends of the other branches.
        spectrum_channels: Channels of each convolution over the spectrum.
        channels: Channels of the first stage over a short-time transform; each of the three after it has twice as many.
        embedding: Width of each branch's embedding; they are concatenated.
    """

    spectrum: SpectrumSpec | None = SpectrumSpec()
    stfts: list[StftSpec] = Field(default=[StftSpec()])
    spectrum_channels: int = Field(default=128, ge=1)
    channels: int = Field(default=16, ge=1)
    embedding: int = Field(default=128, ge=2)

    @model_validator(mode="after")
    def _some_branch(self) -> EmbeddingSettings:
        if self.spectrum is None and not self.stfts:
            raise ValueError("a network needs a spectrum or a short-time transform to look at")
        return self

    @property
    def inputs(self) -> dict[str, SpectrumSpec | StftSpec]:
        """Front ends, by the names of the graph's inputs."""
        first: dict[str, SpectrumSpec | StftSpec] = {} if self.spectrum is None else {"spectrum": self.spectrum}
        return first | {f"stft-{i}": spec for i, spec in enumerate(self.stfts)}


class AdamWSettings(Computation, EpochSettings):
    """AdamW at a constant rate over whole epochs.

    Attributes:
        weight_decay: Share of a weight, times the rate, that is subtracted at each step.
    """

    omitted_at_default: ClassVar[tuple[str, ...]] = ("compile", "precision")
    epochs: int = Field(default=16, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)


class EmbeddingExpert(NetworkExpert):
    """One network for all machines of a data set, and a bank of normal embeddings for each section.

    Defaults are those of published systems of the kind (sub-cluster AdaCos, Wilkinghoff 2021).

    Attributes:
        network: Branches and sizes.
        sub_clusters: Centres of each class in sub-cluster AdaCos.
        mixup: Share of the items whose sound is mixed with another's, by a share drawn evenly from 0 to 1.
        exchange: Whether a second loss recognises embeddings whose branches come from two items (feature exchange,
            FeatEx).
        domains: Items that a window is compared with: those of `both` domains, as published systems do, which do not
            know the domain; or those of its `own` domain, which a condition does know.
    """

    kind: Literal["embedding"] = "embedding"
    density: DensitySettings = DensitySettings(density="bank")
    network: EmbeddingSettings = EmbeddingSettings()
    sub_clusters: int = Field(default=16, ge=1)
    mixup: float = Field(default=0.5, ge=0, le=1)
    exchange: bool = True
    domains: Literal["both", "own"] = "both"
    training: AdamWSettings = AdamWSettings()

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without newer fields at their defaults: what was trained before they existed keeps its digest."""
        content: dict[str, Any] = without(whole(self), "fitted_to", "unlearnt")
        if self.domains == "both":
            content.pop("domains", None)
        return content

    @model_validator(mode="after")
    def _possible(self) -> EmbeddingExpert:
        if self.density.density != "bank" or self.scorers != "condition" or self.fitted_to != "unlearnt":
            raise ValueError(
                "embeddings are judged by a bank for each section: leave out `scorers`, `fitted_to`, `density.density`"
            )
        if self.exchange and len(self.network.inputs) < 2:
            raise ValueError("`exchange: true` needs two branches to exchange")
        return self

    def member(self, number: int, features: FeatureSpec) -> EmbeddingExpert:  # noqa: ARG002 - all members are alike
        """Return the settings of one member; the recipe's `features` are not used."""
        return self

    def for_training(self) -> EmbeddingExpert:
        """Return the settings that decide a trained network; all others are at their defaults."""
        names = {"network", "sub_clusters", "mixup", "exchange", "training"}
        return EmbeddingExpert.model_validate(self.model_dump(include=names))
