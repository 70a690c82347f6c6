"""Common parts of the official baselines of DCASE 2021 Task 2: excerpts of log-mels of both domains, a mean score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from asd_agent.calibrate import DensitySettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import WINDOW_SAMPLES, ClipSet
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.base import GRAPH
from asd_trainer.families.machine_family import MachineFamily
from asd_trainer.families.settings import EpochSettings, Execution, NetworkExpert
from asd_trainer.families.timing import STEPS, measure_steps, noise_log_mels

if TYPE_CHECKING:
    from asd_trainer.engine.onnx_export import Exportable


class ExcerptExpert(NetworkExpert):
    """An official baseline: its output is averaged into one score, by one scorer for the machine.

    Attributes:
        frames: Frames of an excerpt, which is one item of training.
        training: Optimisation.
    """

    density: DensitySettings = DensitySettings(density="mean")
    scorers: Literal["condition", "machine"] = "machine"
    frames: int
    training: EpochSettings

    @property
    def excerpt_hop(self) -> int:
        """Frames from excerpt to excerpt."""
        return 1

    def excerpts(self, frames: int) -> int:
        """Return the number of excerpts in a clip of so many frames."""
        return (frames - self.frames) // self.excerpt_hop + 1


X = TypeVar("X", bound=ExcerptExpert)


class ExcerptFamily(MachineFamily[X]):
    """Family of an official baseline; subclasses write `learn`."""

    both_domains = True

    @abstractmethod
    def learn(
        self, clips: ClipSet, expert: X, execution: Execution, folder: Path, *, seed: int, progress: StepProgress | None
    ) -> Exportable:
        """Train a network and return it, on the CPU, in evaluation mode."""

    def fit(
        self, clips: ClipSet, expert: X, execution: Execution, folder: Path, *, seed: int, progress: StepProgress
    ) -> float:
        """Train a network and export it."""
        from asd_trainer.engine.onnx_export import export_network

        network = self.learn(clips, expert, execution, folder, seed=seed, progress=progress)
        return export_network(network, folder / GRAPH)

    def size(self, expert: X) -> Mapping[str, int]:
        """Return the epochs of a training."""
        return {"epochs": expert.training.epochs}

    def steps(self, expert: X, size: Mapping[str, int]) -> int:
        """Return the number of steps of a training."""
        return expert.training.steps(size["clips"] * expert.excerpts(_frames(expert)))

    def seconds_per_step(self, expert: X, execution: Execution) -> float:
        """Measure an epoch of a few steps on noise."""
        brief = expert.model_copy(update={"training": expert.training.model_copy(update={"epochs": 1})})
        count = max(1, -(-STEPS * expert.training.batch // expert.excerpts(_frames(expert))))
        clips = noise_log_mels(count, expert.features or FeatureSpec())
        return measure_steps(
            lambda folder, progress: self.learn(clips, brief, execution, folder, seed=0, progress=progress)
        )


def _frames(expert: ExcerptExpert) -> int:
    return (expert.features or FeatureSpec()).frames(WINDOW_SAMPLES)
