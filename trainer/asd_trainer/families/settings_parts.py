"""What settings of every family of members have."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from asd_agent.bundle.manifest import Combination, FramePooling
from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec

_Model = TypeVar("_Model", bound=BaseModel)


class Part(BaseModel):
    """A part of a recipe: fixed once read, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Computation(Part):
    """How a device computes the steps of a training.

    Attributes:
        precision: Of the network on CUDA; a CPU computes in float32. `tf32` rounds the factors of products, `bfloat16`
            computes products and convolutions in it. Front ends, losses and centroids are in float32 always.
        compile: Whether torch compiles the network, on any device; worth it where a training takes long.
    """

    unsaid: ClassVar[tuple[str, ...]] = ("compile",)
    """Left out where they are at their defaults: what was trained before there was a choice is found again."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    compile: bool = False

    @model_serializer(mode="wrap")
    def _without_defaults(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = whole(self)
        fields = type(self).model_fields
        return {name: v for name, v in said.items() if name not in self.unsaid or v != fields[name].default}


class Expert(Part):
    """What every family of members has.

    Attributes:
        features: Its own front end, where it is not the recipe's.
        density: Scorer of its observations.
        scorers: One for each section and domain, as in the paper, or one for the whole machine.
        frame_pooling: From frame scores to one.
        combination: Of its members.
    """

    features: FeatureSpec | None = None
    density: DensitySettings = DensitySettings()
    scorers: Literal["condition", "machine"] = "condition"
    frame_pooling: FramePooling = FramePooling()
    combination: Combination = Combination()


class NetworkExpert(Expert):
    """An expert whose members are trained networks, each from a seed of its own.

    Attributes:
        members: How many.
        members_by_labels: So many of the members for each domain, chosen by the labelled test clips of the development
            sections as in the paper; all of them, without a look at any label, where it is not given.
    """

    members: int = Field(default=1, ge=1)
    members_by_labels: Literal[2, 3, 5, 10, 20] | None = None

    @model_validator(mode="after")
    def _enough(self) -> NetworkExpert:
        if self.members_by_labels is not None and self.members_by_labels > self.members:
            raise ValueError(f"the best {self.members_by_labels} of {self.members} members cannot be chosen")
        return self


def changed(settings: _Model, by: dict[str, Any]) -> _Model:
    """The same settings with some values changed.

    Raises:
        ValueError: The values do not fit.
    """
    try:
        return type(settings).model_validate(settings.model_dump() | by)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"a variant's {where or 'values'}: {first['msg']}") from error
