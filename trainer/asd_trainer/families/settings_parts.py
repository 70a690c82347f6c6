"""Settings that every family of members has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from asd_agent.bundle.manifest import Combination, FramePooling
from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.settings import Settings


class Expert(Settings):
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
