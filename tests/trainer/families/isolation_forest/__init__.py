"""Isolation forests on the statistics of log-mels (Liu et al. 2008): a family outside the trainer's package.

One forest a machine learns mean and spread over time of each mel band. Its graph computes these statistics, the trees'
mean depth and the score from log-mels, so that the agent runs it without knowing the family. The graph's output is the
score, which the density `mean` passes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from pydantic import Field
from sklearn.ensemble import IsolationForest

from asd_agent.calibrate import DensitySettings
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.base import GRAPH
from asd_trainer.families.machine_family import MachineFamily
from asd_trainer.families.registry import register
from asd_trainer.families.settings import Execution, NetworkExpert

from .graph import forest_graph


class ForestExpert(NetworkExpert):
    """Settings of isolation forests.

    Attributes:
        trees: Number of trees.
    """

    kind: Literal["isolation_forest"] = "isolation_forest"
    density: DensitySettings = DensitySettings(density="mean")
    trees: int = Field(default=50, ge=1)

    def for_training(self) -> ForestExpert:
        """Return the settings that decide a trained forest; all others are at their defaults."""
        return ForestExpert(features=self.features, trees=self.trees)


class ForestFamily(MachineFamily[ForestExpert]):
    """Isolation forests, one a machine."""

    settings = ForestExpert
    prefix = "forest"

    def fit(
        self,
        clips: ClipSet,
        expert: ForestExpert,
        execution: Execution,
        folder: Path,
        *,
        seed: int,
        progress: StepProgress,
    ) -> float:
        """Fit a forest and write its graph."""
        known = statistics(clips.features)
        forest = IsolationForest(n_estimators=expert.trees, random_state=seed).fit(known)
        onnx.save(forest_graph(forest, clips.features.shape[2]), folder / GRAPH)
        session = onnxruntime.InferenceSession(folder / GRAPH)
        (found,) = session.run(None, {"features": clips.features})
        return float(np.abs(found[:, 0, 0] + forest.score_samples(known)).max())


def statistics(log_mels: np.ndarray) -> np.ndarray:
    """Return mean and spread over time of each mel band, shape (clips, frames, n_mels) to (clips, 2 · n_mels)."""
    return np.concatenate([log_mels.mean(axis=1), log_mels.std(axis=1)], axis=1)


register(ForestFamily())
