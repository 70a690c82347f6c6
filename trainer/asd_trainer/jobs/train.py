"""From data sets and recipes to one bundle a machine and seed: what the jobs do, and how they are carried out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Provenance
from asd_trainer.data.cache import Cache
from asd_trainer.data.dataset import DataSet, scan
from asd_trainer.data.layout import Clip
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.settings import BaselineExpert, ClassifierExpert, EmbeddingExpert, NetworkExpert, PlainExpert
from asd_trainer.fit.selection_by_labels import choice_of
from asd_trainer.jobs import JobStatus, Task, run_jobs
from asd_trainer.jobs.executor import Observe
from asd_trainer.jobs.launch import Launcher
from asd_trainer.jobs.plan import Plan, make_plan
from asd_trainer.jobs.runs import Run, publish_bundle, publish_evaluation
from asd_trainer.jobs.store import folder_of
from asd_trainer.recipes.recipe import Recipe

_TOLD = ("asd", "numpy", "scipy", "scikit-learn", "onnxruntime")
_TOLD_OF_NETWORKS = ("torch", "onnx", "onnxscript")
GRAPH = "model.onnx"
CACHE = "cache"
"""Log-mels, beside the jobs in RUNS; may be removed at any time."""


def carry_out(plan: Plan, *, workers: int | Launcher = 1, observe: Observe | None = None) -> list[Run]:
    """Do what is not done yet of a plan. What is done is set out in its runs' folders, even when other jobs fail.

    Args:
        plan: What to do.
        workers: Processes at a time, or what starts jobs elsewhere.
        observe: Called twice a second with where every job stands.

    Returns:
        The runs.

    Raises:
        JobsFailedError: Jobs failed; the others are done.
    """
    try:
        run_jobs(plan.jobs, plan.out, workers=workers, observe=observe)
    finally:
        for one in plan.runs:
            if folder_of(plan.out, one.run.job).result() is not None:
                publish_bundle(one.run, dict(one.settings), plan.out)
                if one.evaluation is not None:
                    publish_evaluation(one.run, folder_of(plan.out, one.evaluation))
    return [one.run for one in plan.runs]


def train_machine(
    data: DataSet, machine: str, recipe: Recipe, seed: int, out: Path, progress: StageProgress | None = None
) -> Run:
    """Train one machine: networks, scorers, thresholds, bundle. An interrupted call goes on, a finished one returns.

    Raises:
        DataError: The data set does not permit it.
        JobsFailedError: A job failed.
    """
    plan = make_plan([data], [recipe], [seed], out, machines=[machine], progress=progress)
    (run,) = carry_out(plan, observe=tell(progress) if progress else None)
    return run


def tell(progress: StageProgress) -> Observe:
    """Tell of running jobs as stages of a whole."""

    def observe(statuses: Sequence[JobStatus]) -> None:
        for s in statuses:
            if s.state == "running" and s.step is not None and s.total is not None:
                progress(f"{s.name}: steps", s.step, s.total)

    return observe


class Steps:
    """Progress over several stages, told to a job's task as steps of one whole.

    Args:
        task: Whom to tell.
        total: Steps in all stages.
    """

    def __init__(self, task: Task, total: int) -> None:
        self._task, self._total = task, total
        self._before, self._last, self._stage = 0, 0, ""
        self._started = time.monotonic()

    def __call__(self, stage: str, done: int, _: int) -> None:
        """Take one stage's progress; where it has another name or falls back, another stage has begun."""
        if stage != self._stage or done <= self._last:
            self._before += self._last
        self._stage, self._last = stage, done
        step = min(self._before + done, self._total)
        seconds = time.monotonic() - self._started
        self._task.progress(step, self._total, float("nan"), seconds / max(step, 1) * (self._total - step))


def train_network(
    task: Task, machine: str, part: dict[str, Any], seed: int, fold: int, member_seed: int, data: str
) -> dict[str, Any]:
    """A job: train one network and export it.

    Raises:
        DataError: The clips do not permit it.
        DivergedError: The training diverged.
        ExportError: The exported graph computes something else.
    """
    from asd_trainer.data.split import training_set
    from asd_trainer.engine.onnx_export import export_network
    from asd_trainer.fit.member import train_member

    recipe = Recipe.model_validate(part)
    expert = recipe.machine_network()
    clips, spec = _training_clips(data, machine), recipe.features_of(expert)
    learnt = training_set(
        clips,
        recipe.held_out,
        spec,
        seed,
        Cache(task.folder.parents[1] / CACHE),
        fold=fold,
        both_domains=isinstance(expert, BaselineExpert),
    )
    model = train_member(learnt, recipe, expert, task.folder, seed=member_seed, progress=task.progress)
    difference = export_network(model, task.folder / GRAPH)
    return {"clips": len(learnt.names), "off_by": difference}


def fit_bundle(
    task: Task, machine: str, recipe: dict[str, Any], seed: int, data_digest: str, data: str
) -> dict[str, Any]:
    """A job: fit scorers and thresholds to held-out normal clips and write the bundle; networks come from other jobs.

    Raises:
        DataError: The clips do not permit it.
    """
    from asd_agent.calibrate.compose import ThresholdSettings
    from asd_trainer.data.split import by_section
    from asd_trainer.fit.bundle import Fitter
    from asd_trainer.fit.expert_plans import (
        classifier_plan,
        embedding_plan,
        load_machine,
        network_plan,
        numbered,
        plain_plan,
    )
    from asd_trainer.fit.scorers import ExpertPlan

    settings = Recipe.model_validate(recipe)
    clips = _training_clips(data, machine)
    graphs = [result.folder / GRAPH for result in task.dependencies.values() if (result.folder / GRAPH).exists()]
    chosen = choice_of(task, settings)
    plans: list[ExpertPlan] = []
    arrays = {}
    for one in numbered(settings):
        if isinstance(one.expert, PlainExpert):
            plans.append(plain_plan(one, one.expert, settings))
            continue
        if isinstance(one.expert, ClassifierExpert):
            count = one.expert.members * len(by_section(clips, "source"))
            jobs, graphs = [g.parent for g in graphs[:count]], graphs[count:]
            used = chosen.configurations.get(one.name)
            plans.append(classifier_plan(one, one.expert, settings, clips, jobs, seed, used))
            continue
        mine, graphs = graphs[: one.expert.members], graphs[one.expert.members :]
        if isinstance(one.expert, EmbeddingExpert):
            known = chosen.members.get(one.name)
            plans.append(embedding_plan(one, one.expert, settings, clips, mine, seed, known))
            continue
        plan, masks = network_plan(one, one.expert, settings, clips, mine, seed, chosen.members.get(one.name))
        plans.append(plan)
        arrays.update(masks)
    asked = ThresholdSettings(settings.thresholds.method, settings.thresholds.false_alarms_per_day)
    windows = load_machine(clips, machine)
    observed = sum(plan.observes(n, c) for plan in plans for n in range(len(plan.members)) for c in clips)
    steps = Steps(task, observed)
    fitter = Fitter(machine, plans, arrays, asked, settings.combination, chosen.experts, seed, steps, settings.prune)
    fitter.fit(windows.source, windows.target)
    provenance = _provenance(settings, data_digest, seed).model_copy(update={"chosen_by_labels": chosen.sections})
    bundle = fitter.write(task.folder / "bundle", machine, provenance)
    return {"bundle": bundle.digest} | ({"order": asdict(fitter.order)} if fitter.order else {})


def export_run(run: Run, out: Path, metrics: dict[str, Any] | None = None) -> Bundle:
    """Copy a run's bundle to where the agent takes it from, with its metrics, once its golden windows pass.

    Raises:
        BundleError: The run's bundle is damaged or does not give its own golden scores.
    """
    from asd_agent.bundle.arrays import load_arrays
    from asd_agent.bundle.bundle import write_bundle
    from asd_agent.bundle.files import GOLDEN, SCORERS
    from asd_agent.inference.provider_check import check_golden
    from asd_agent.inference.scorer import BundleScorer

    bundle = Bundle.open(run.bundle)
    check_golden(BundleScorer(bundle))
    manifest = bundle.manifest.model_copy(update={"metrics": metrics or {}, "name": out.name})
    arrays = {name: load_arrays(bundle.path / name) for name in (SCORERS, GOLDEN)}
    graphs = {name: bundle.path / name for name in bundle.manifest.files if name not in arrays}
    return write_bundle(out, manifest, arrays, graphs)


def _training_clips(data: str, machine: str) -> list[Clip]:
    return scan(Path(data)).select(machine=machine, split="train", label="normal")


def _provenance(recipe: Recipe, digest: str, seed: int) -> Provenance:
    networks = any(isinstance(e, NetworkExpert) for e in recipe.experts)
    return Provenance(
        created=datetime.now(tz=timezone.utc).replace(microsecond=0),
        recipe=recipe.name,
        recipe_settings=recipe.model_dump(mode="json"),
        data_digest=digest,
        seed=seed,
        versions={name: version(name) for name in _TOLD + (_TOLD_OF_NETWORKS if networks else ())},
    )
