"""The work of jobs: train one member, and fit one bundle.

A job's process calls these functions with its task, its arguments and its paths. Clips and folds come from the stored
split; nothing looks through the data set again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asd_agent.bundle.manifest import Provenance
from asd_agent.calibrate.compose import ThresholdSettings
from asd_trainer.data.cache import Cache
from asd_trainer.data.clips import load_clips
from asd_trainer.data.split import DataSplit, by_section
from asd_trainer.families.base import MemberTraining, TrainedExpert
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.families.registry import family_of, validate_expert
from asd_trainer.families.settings import Execution
from asd_trainer.fit.bundle import Fitter
from asd_trainer.jobs import Task
from asd_trainer.recipes.recipe import Recipe

CACHE = "cache"
"""Log-mels, beside the jobs in RUNS; may be removed at any time."""
_LIBRARIES = ("asd-edge", "numpy", "scipy", "scikit-learn", "onnxruntime")
_LIBRARIES_OF_TRAINING = ("torch", "onnx")


@dataclass(frozen=True)
class Choice:
    """Return the choice by labels, as the job of `asd_trainer.evaluation.selection_by_labels` reports it.

    Attributes:
        members: Numbers of members by the name of their expert and by domain; all where a domain is not in it.
        experts: Name of the only expert that is used, by domain.
        sections: Sections whose labels were read.
    """

    members: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)
    experts: Mapping[str, str] = field(default_factory=dict)
    sections: list[str] = field(default_factory=list)


class TaskProgress:
    """Progress over several stages, reported to a job's task as steps of one whole.

    Args:
        task: Task of the job.
        total: Steps in all stages.
    """

    def __init__(self, task: Task, total: int) -> None:
        self._task, self._total = task, total
        self._before, self._last, self._stage = 0, 0, ""
        self._started = time.monotonic()

    def __call__(self, stage: str, done: int, _: int) -> None:
        """Report one stage's progress; another name, or a count that falls, begins another stage."""
        if stage != self._stage or done <= self._last:
            self._before += self._last
        self._stage, self._last = stage, done
        step = min(self._before + done, self._total)
        seconds = time.monotonic() - self._started
        self._task.progress(step, self._total, float("nan"), seconds / max(step, 1) * (self._total - step))


def train_member(
    task: Task,
    machine: str,
    expert: dict[str, Any],
    execution: dict[str, Any],
    held_out: dict[str, Any],  # noqa: ARG001 - decides the split, and so the job's digest
    seed: int,  # noqa: ARG001 - as above
    fold: int,
    member_seed: int,
    data: str,
    split: str,
    **more: Any,
) -> dict[str, Any]:
    """Train one member and leave its graph in the job's folder.

    Raises:
        DataError: The clips do not permit it.
        DivergedError: The training diverged.
        ExportError: The exported graph computes something else.
    """
    settings = validate_expert(expert)
    training = MemberTraining(
        expert=settings,
        execution=Execution.model_validate(execution),
        machine=machine,
        split=DataSplit.read(Path(split), Path(data)),
        fold=fold,
        seed=member_seed,
        folder=task.folder,
        cache=Cache(task.folder.parents[1] / CACHE),
        progress=task.progress,
        more=more,
    )
    return family_of(settings.kind).train(training)


def fit_bundle(
    task: Task, machine: str, recipe: dict[str, Any], seed: int, data_digest: str, data: str, split: str
) -> dict[str, Any]:
    """Fit scorers and thresholds to held-out normal clips and write the bundle, from trainings that are done.

    Raises:
        DataError: The clips do not permit it.
    """
    settings = Recipe.model_validate(recipe)
    stored = DataSplit.read(Path(split), Path(data))
    results = list(task.dependencies.values())
    choice = Choice(**results.pop().value["choice"]) if settings.by_labels else Choice()
    plans = _expert_plans(settings, stored, machine, seed, [result.folder for result in results], choice)
    clips = stored.training(machine)
    source, target = (
        {section: load_clips(own) for section, own in by_section(clips, domain).items()}
        for domain in ("source", "target")
    )
    scored = sum(plan.infers(n, c) for plan in plans for n in range(len(plan.members)) for c in clips)
    fitter = Fitter(
        machine,
        plans,
        ThresholdSettings(settings.thresholds.method, settings.thresholds.false_alarms_per_day),
        settings.combination,
        choice.experts,
        seed,
        TaskProgress(task, scored),
        settings.prune,
    )
    fitter.fit(source, target)
    bundle = fitter.write(task.folder / "bundle", machine, _provenance(settings, data_digest, seed, choice))
    return {"bundle": bundle.digest} | ({"order": asdict(fitter.order)} if fitter.order else {})


def _expert_plans(
    recipe: Recipe, split: DataSplit, machine: str, seed: int, folders: list[Path], choice: Choice
) -> list[ExpertPlan]:
    """The experts with their trained members; `folders` are those of the trainings, in the order of the plan."""
    plans = []
    for named in recipe.named_experts():
        family = family_of(named.expert.kind)
        count = named.expert.member_count * family.trainings_per_member(machine, split)
        own, folders = folders[:count], folders[count:]
        plans.append(
            family.plan(
                TrainedExpert(
                    named=named,
                    features=recipe.features,
                    machine=machine,
                    split=split,
                    seed=seed,
                    folders=own,
                    chosen=choice.members.get(named.name, {}),
                )
            )
        )
    return plans


def _provenance(recipe: Recipe, digest: str, seed: int, choice: Choice) -> Provenance:
    trained = any(expert.trained for expert in recipe.experts)
    return Provenance(
        created=datetime.now(tz=timezone.utc).replace(microsecond=0),
        recipe=recipe.name,
        recipe_settings=recipe.model_dump(mode="json"),
        data_digest=digest,
        seed=seed,
        versions={name: version(name) for name in _LIBRARIES + (_LIBRARIES_OF_TRAINING if trained else ())},
        chosen_by_labels=choice.sections,
    )
