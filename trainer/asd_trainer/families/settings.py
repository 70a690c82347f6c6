"""Settings that the experts of every family share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from asd_agent.bundle.manifest import Combination, FramePooling, without
from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Self


class Execution(Settings):
    """Device, precision and workers of trainings.

    Attributes:
        checkpoint_every: Steps between checkpoints.
        device: `auto` takes CUDA where there is one.
        deterministic: Bit-equal repeats on one device, at some cost in speed on CUDA.
    """

    checkpoint_every: int = Field(default=500, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = True


class Expert(Settings):
    """Settings of one expert: the members of one family in a recipe.

    Attributes:
        trained: Whether members learn from clips, so that some clips have to be held out.
        kind: Kind by which the registry finds the family.
        features: Front end of the expert, where it is not the recipe's.
        density: Density that is fitted to what members infer.
        fitted_to: Clips that it is fitted to: those that the member has not learnt, or all. Reference scores come from
            the former either way.
        scorers: One scorer for each section and domain, as in the paper, or one for the whole machine.
        frame_pooling: From frame scores to one score.
        combination: From the members' scores to the expert's.
    """

    trained: ClassVar[bool] = False
    kind: str
    features: FeatureSpec | None = None
    density: DensitySettings = DensitySettings()
    fitted_to: Literal["unlearnt", "all"] = "unlearnt"
    scorers: Literal["condition", "machine"] = "condition"
    frame_pooling: FramePooling = FramePooling()
    combination: Combination = Combination()

    @model_validator(mode="after")
    def _fit_possible(self) -> Expert:
        if self.fitted_to == "all" and self.scorers == "machine":
            raise ValueError("`fitted_to: all` wants `scorers: condition`")
        return self

    @model_serializer(mode="wrap")
    def _without_fitted_to(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `fitted_to` at its default: what was trained before the field existed keeps its digest."""
        return without(whole(self), "fitted_to", "unlearnt")

    @property
    def member_count(self) -> int:
        """Number of members."""
        return 1

    @property
    def best_by_labels(self) -> int | None:
        """Number of members that labelled test clips choose for each domain; None where all members are used."""
        return None

    @property
    def depends_on_seed(self) -> bool:
        """True where a seed changes the result: weights, held-out clips, or the start of a mixture's fit."""
        return self.trained or self.density.density == "gmm"

    def member(self, number: int, features: FeatureSpec) -> Self:  # noqa: ARG002 - members may differ
        """Return the settings of one member, its front end among them.

        Args:
            number: Number of the member, from 0.
            features: Front end of the recipe.
        """
        return self.model_copy(update={"features": self.features or features})

    def for_training(self) -> Self:
        """Return the settings that decide a trained member; all others are at their defaults."""
        return self

    def choosing_none(self) -> Self:
        """Return the same settings with all members used."""
        return self

    def check_members(self, features: FeatureSpec) -> None:
        """Check that every member's settings fit together; `features` is the recipe's front end.

        Raises:
            ValueError: They do not.
        """


class NetworkExpert(Expert):
    """Settings of an expert whose members are trained, each from a seed of its own.

    Attributes:
        members: Number of members.
        members_by_labels: Number of members for each domain that the labelled test clips of the development sections
            choose, as in the paper. Where it is not given, all members are used and no label is read.
    """

    trained: ClassVar[bool] = True
    members: int = Field(default=1, ge=1)
    members_by_labels: Literal[2, 3, 5, 10, 20] | None = None

    @model_validator(mode="after")
    def _enough(self) -> NetworkExpert:
        if self.members_by_labels is not None and self.members_by_labels > self.members:
            raise ValueError(f"the best {self.members_by_labels} of {self.members} members cannot be chosen")
        return self

    @property
    def member_count(self) -> int:
        """Number of members."""
        return self.members

    @property
    def best_by_labels(self) -> int | None:
        """See `Expert.best_by_labels`."""
        return self.members_by_labels

    def choosing_none(self) -> Self:
        """Return the same settings with all members used."""
        return self.model_copy(update={"members_by_labels": None})


class EpochSettings(Settings):
    """Adam at a constant rate over whole epochs.

    Attributes:
        epochs: Number of times that every item is used.
        batch: Items a batch.
        learning_rate: Rate of every step.
    """

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)

    def steps(self, items: int) -> int:
        """Return the number of batches in all epochs of so many items."""
        return self.epochs * -(-items // self.batch)
