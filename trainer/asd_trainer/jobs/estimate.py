"""How long a plan would take here: a few steps of every different network are measured, on noise, and multiplied."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_trainer.data.clip_windows import WINDOW_SAMPLES
from asd_trainer.families.settings import ClassifierExpert, EmbeddingExpert, EpochSettings
from asd_trainer.jobs import Job
from asd_trainer.jobs.plan import Plan
from asd_trainer.jobs.plan_networks import MEMBER
from asd_trainer.recipes.recipe import Recipe

STEPS = 3
"""Measured of each network; the first, which prepares memory, does not count."""


@dataclass(frozen=True)
class Estimate:
    """What a plan would take.

    Attributes:
        seconds: Of each network job that is not done, by its name; bundles and evaluations are not counted.
        step_seconds: Of each different network, by what it is.
        device: Where the steps were measured.
    """

    seconds: Mapping[str, float]
    step_seconds: Mapping[str, float]
    device: str

    @property
    def hours(self) -> float:
        """Of all jobs, one after another."""
        return sum(self.seconds.values()) / 3600


def estimate(plan: Plan, pending: Callable[[Job], bool], told: Callable[[str], None] = lambda _: None) -> Estimate:
    """Measure a few steps of each different network of a plan, on noise, and multiply.

    Args:
        plan: The plan.
        pending: Whether a job is still to be done.
        told: Called before each measurement.

    Raises:
        AsdError: A recipe wants CUDA and there is none.
    """
    import torch

    steps: dict[str, float] = {}
    names: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for job in plan.jobs:
        if job.kind != MEMBER or not pending(job):
            continue
        part = Recipe.model_validate(job.arguments["part"])
        key = json.dumps(job.arguments["part"], sort_keys=True)
        if key not in steps:
            names[key] = f"{_what(part)} ({job.name})"
            told(names[key])
            steps[key] = step_seconds(part)
        seconds[job.name] = steps[key] * _steps(part, plan.sizes[job.name])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return Estimate(seconds, {names[key]: value for key, value in steps.items()}, device)


def step_seconds(part: Recipe) -> float:
    """Seconds of one step of the network of a job's part of a recipe, the mean of a few after the first."""
    with tempfile.TemporaryDirectory() as folder:
        times: list[float] = []
        _train(part, Path(folder), lambda *_: times.append(time.perf_counter()))
    return float(np.mean(np.diff(times)))


def _train(part: Recipe, folder: Path, told: Callable[..., None]) -> None:
    from asd_trainer.data.attribute_classes import ClassSet
    from asd_trainer.data.clip_sounds import hear
    from asd_trainer.data.split import TrainingSet
    from asd_trainer.families.classifier.training import train_classifier
    from asd_trainer.families.embedding.training import train_embedding
    from asd_trainer.fit.member import train_member

    expert, rng = part.network(), np.random.default_rng(0)
    if isinstance(expert, ClassifierExpert):
        few = expert.model_copy(update={"training": expert.training.model_copy(update={"steps": STEPS})})
        half = expert.training.batch // 2
        own, other = (
            hear(_noise(half, rng), [f"{kind} {i}" for i in range(half)], part.features_of(expert))
            for kind in ("normal", "outlier")
        )
        train_classifier(own, other, part, few, folder, seed=0, progress=told)
        return
    settings = expert.training
    batch = settings.batch
    if isinstance(expert, EmbeddingExpert):
        count = STEPS * batch
        labels = np.arange(count, dtype=np.int64) % 2
        learnt = ClassSet(_noise(count, rng), labels, [f"clip {i}" for i in range(count)], ["one", "other"])
        once = expert.model_copy(update={"training": settings.model_copy(update={"epochs": 1})})
        train_embedding(learnt, part, once, folder, seed=0, progress=told)
        return
    spec = part.features_of(expert)
    frames = spec.frames(WINDOW_SAMPLES)
    changed: dict[str, int] = {"steps": STEPS}
    count = batch
    if isinstance(settings, EpochSettings):
        changed, count = {"epochs": 1}, max(1, -(-STEPS * batch // _items_per_clip(part)))
    features = rng.normal(-40, 10, (count, frames, spec.n_mels)).astype(np.float32)
    sections = (np.arange(count) % 2 / 2).astype(np.float32)
    short = expert.model_copy(update={"training": settings.model_copy(update=changed)})
    learnable = TrainingSet(features, sections, [f"clip {i}" for i in range(count)])
    train_member(learnable, part, short, folder, seed=0, progress=told)


def _steps(part: Recipe, size: Mapping[str, int]) -> int:
    """Of the whole training."""
    settings = part.network().training
    if isinstance(settings, EpochSettings):
        return settings.steps(size["clips"] * _items_per_clip(part))
    return size["steps"]


def _items_per_clip(part: Recipe) -> int:
    expert = part.network()
    if isinstance(expert, EmbeddingExpert):
        return 1
    frames = part.features_of(expert).frames(WINDOW_SAMPLES)
    return (frames - getattr(expert, "frames", frames)) // getattr(expert, "hop", 1) + 1


def _noise(count: int, rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    return np.asarray(rng.normal(0, 3000, (count, WINDOW_SAMPLES)), dtype=np.int16).reshape(count, WINDOW_SAMPLES)


def _what(part: Recipe) -> str:
    expert = part.network()
    if isinstance(expert, ClassifierExpert):
        return f"classifier {expert.network.backbone}"
    return expert.kind
