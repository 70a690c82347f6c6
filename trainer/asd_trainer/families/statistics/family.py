"""The family of detectors without training: level, log-mel statistics, condition indicators."""

from __future__ import annotations

from typing import Literal

from asd_agent.bundle.manifest import Member
from asd_agent.calibrate import DensitySettings
from asd_trainer.families.base import Family, TrainedExpert
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.families.registry import register
from asd_trainer.families.settings import Expert


class StatisticsExpert(Expert):
    """Quantities of a window, and one shrunk Gaussian of their normal values.

    Attributes:
        kind: `level` is the loudness alone, `mel_statistics` mean and spread of each mel band over time,
            `mel_spectrum` the mean alone, `indicators` the classical quantities of condition monitoring.
    """

    kind: Literal["level", "mel_statistics", "mel_spectrum", "indicators"]
    density: DensitySettings = DensitySettings(density="mahalanobis")


class StatisticsFamily(Family[StatisticsExpert]):
    """Members that the agent computes without a graph."""

    settings = StatisticsExpert

    def plan(self, trained: TrainedExpert[StatisticsExpert]) -> ExpertPlan:
        """Return the expert with its only member."""
        named = trained.named
        expert = named.expert
        features = (expert.features or trained.features) if expert.kind.startswith("mel_") else None
        return ExpertPlan(
            name=named.name,
            members=[Member(id=named.member_id(0), kind=expert.kind, features=features)],
            density=expert.density,
            scorers=expert.scorers,
            pooling=expert.frame_pooling,
            combination=expert.combination,
        )


register(StatisticsFamily())
