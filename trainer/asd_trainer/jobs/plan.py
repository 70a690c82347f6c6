"""What there is to do for recipes on data sets, as a graph of jobs: one a network, one a bundle, one an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.bundle.manifest import ARITHMETIC_VERSION, SCHEMA_VERSION
from asd_agent.errors import UsageError
from asd_trainer.data.dataset import DataSet
from asd_trainer.data.digests import Digests
from asd_trainer.engine.progress import StageProgress
from asd_trainer.evaluation.metrics import METRICS_VERSION
from asd_trainer.families.settings import ClassifierExpert, EmbeddingExpert, NetworkExpert
from asd_trainer.fit.expert_plans import check_permits, numbered
from asd_trainer.fit.selection_by_labels import check_labels
from asd_trainer.jobs import Job
from asd_trainer.jobs import digests as job_digests
from asd_trainer.jobs.machine_clips import MachineClips
from asd_trainer.jobs.plan_networks import code_version, network_jobs
from asd_trainer.jobs.runs import JOBS, Run, data_names
from asd_trainer.recipes.recipe import Recipe

BUNDLE, EVALUATION = "bundle", "evaluation"
"""Kinds of jobs, besides those of networks."""


@dataclass(frozen=True)
class RunPlan:
    """One run to be.

    Attributes:
        run: Where it will lie.
        settings: Of its recipe.
        evaluation: Digest of the job that scores it; None where none is wanted or no test clip is labelled.
    """

    run: Run
    settings: Mapping[str, Any]
    evaluation: str | None


@dataclass(frozen=True)
class Plan:
    """Jobs, and the runs that come of them.

    Attributes:
        out: RUNS.
        sizes: Of each job by its name: clips, and steps for a network.
        left_out: Runs that cannot be evaluated, in words.
        notes: What is done otherwise than the recipe says since the data do not permit it, in words.
    """

    out: Path
    jobs: tuple[Job, ...]
    runs: tuple[RunPlan, ...]
    sizes: Mapping[str, Mapping[str, int]]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def make_plan(
    data: Sequence[DataSet],
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    out: Path,
    *,
    machines: Collection[str] = (),
    evaluations: bool = False,
    progress: StageProgress | None = None,
) -> Plan:
    """Everything that recipes on data sets ask for. With several data sets, runs lie in RUNS/<data>/<recipe>/….

    Args:
        data: The data sets.
        recipes: The recipes.
        seeds: A run for each.
        out: RUNS.
        machines: Only these; all where none is named.
        evaluations: Whether bundles are also scored.
        progress: Told of clips whose digests are taken.

    Raises:
        UsageError: A machine is in none of the data sets; data sets or recipes cannot be told apart by name.
        DataError: A data set does not permit a recipe.
    """
    names = _names(data, recipes)
    there = sorted({m for d in data for m in d.machines})
    for machine in machines:
        if machine not in there:
            where = ", ".join(str(d.root) for d in data)
            raise UsageError(f"{where}: has no machine {machine!r}", f"It has: {', '.join(there)}.")
    remembered = Digests(out)
    tested = evaluations or any(r.by_labels for r in recipes)
    whole = any(isinstance(e, ClassifierExpert | EmbeddingExpert) for r in recipes for e in r.experts)
    builder = _Builder(out, evaluations)
    for one in data:
        for machine in (m for m in one.machines if not machines or m in machines):
            clips = MachineClips.of(one, machine, remembered, tested, whole, progress)
            for recipe in recipes:
                check_permits(recipe, machine, clips.training)
                for seed in seeds:
                    builder.add(names[one.root.resolve()], clips, recipe, seed)
    remembered.remember()
    return builder.plan()


def evaluation_job(name: str, machine: str, testing_digest: str, data: Path, bundle: str) -> Job:
    """The job that scores a bundle, which another job makes."""
    return Job(
        name=name,
        kind=EVALUATION,
        run="asd_trainer.evaluation.score:evaluate_bundle",
        arguments={"machine": machine},
        inputs={"data": testing_digest, "code": {**code_version(), "metrics": METRICS_VERSION}},
        paths={"data": str(data)},
        depends_on=(bundle,),
    )


class _Builder:
    def __init__(self, out: Path, evaluations: bool) -> None:
        self._out, self._evaluations = out, evaluations
        self._notes: list[str] = []
        self._jobs: list[Job] = []
        self._sizes: dict[str, dict[str, int]] = {}
        self._wanted: list[tuple[Path, MachineClips, Recipe, int, str]] = []
        self._left_out: list[str] = []

    def add(self, prefix: str, clips: MachineClips, recipe: Recipe, seed: int) -> None:
        """One machine by one recipe from one seed."""
        place = Path(prefix, recipe.name, f"seed-{seed}", clips.machine)
        members: list[str] = []
        for one in numbered(recipe):
            planned = network_jobs(place, clips, recipe, one, seed)
            for job, size in planned.jobs:
                members.append(job.name)
                if job.name not in self._sizes:  # else it is another machine's run's too
                    self._take(job, **size)
            self._notes += [note for note in planned.notes if note not in self._notes]
        if recipe.by_labels:
            members.append(self._pool(place, clips, recipe, seed, members))
        bundle = self._bundle(f"{place}/{BUNDLE}", clips, recipe, seed if _by_chance(recipe) else 0, members)
        self._wanted.append((place, clips, recipe, seed, bundle.name))
        if clips.testing and self._evaluations:
            job = evaluation_job(f"{place}/{EVALUATION}", clips.machine, clips.testing_digest, clips.root, bundle.name)
            self._take(job, clips=len(clips.testing))
        elif self._evaluations:
            self._left_out.append(f"{place}: {clips.root} has no labelled test clips of {clips.machine}")

    def _bundle(self, name: str, clips: MachineClips, recipe: Recipe, seed: int, needs: Sequence[str]) -> Job:
        job = Job(
            name=name,
            kind=BUNDLE,
            run="asd_trainer.jobs.train:fit_bundle",
            arguments={
                "machine": clips.machine,
                "recipe": recipe.model_dump(mode="json"),
                "seed": seed,
                "data_digest": clips.digest(recipe),
            },
            inputs={"code": {**code_version(), "scores": ARITHMETIC_VERSION, "bundle": SCHEMA_VERSION}},
            paths={"data": str(clips.root)},
            depends_on=tuple(needs),
        )
        self._take(job, clips=len(clips.training))
        return job

    def _pool(self, place: Path, clips: MachineClips, recipe: Recipe, seed: int, members: Sequence[str]) -> str:
        """The evaluation of all members together, by which labels choose among them."""
        check_labels(clips.machine, clips.testing)
        bundle = self._bundle(f"{place}/pool", clips, recipe.choosing_none(), seed, members)
        job = evaluation_job(f"{place}/pool-{EVALUATION}", clips.machine, clips.testing_digest, clips.root, bundle.name)
        self._take(job, clips=len(clips.testing))
        return job.name

    def plan(self) -> Plan:
        """All that was added."""
        digests = job_digests(self._jobs)
        runs = [
            RunPlan(
                Run(
                    self._out / place,
                    recipe.name,
                    seed,
                    clips.machine,
                    clips.root,
                    clips.digest(recipe),
                    digests[bundle],
                ),
                recipe.model_dump(mode="json"),
                digests.get(f"{place}/{EVALUATION}"),
            )
            for place, clips, recipe, seed, bundle in self._wanted
        ]
        return Plan(self._out, tuple(self._jobs), tuple(runs), self._sizes, tuple(self._left_out), tuple(self._notes))

    def _take(self, job: Job, **size: int) -> None:
        self._jobs.append(job)
        self._sizes[job.name] = size


def _by_chance(recipe: Recipe) -> bool:
    """Whether a seed decides anything: weights, held-out clips, or where a mixture's fit begins."""
    return any(isinstance(e, NetworkExpert) or e.density.density == "gmm" for e in recipe.experts)


def _names(data: Sequence[DataSet], recipes: Sequence[Recipe]) -> dict[Path, str]:
    """The folder between RUNS and the recipes for each data set: none where there is one data set."""
    called = [r.name for r in recipes]
    for name in called:
        if called.count(name) > 1:
            raise UsageError(f"two recipes are called {name!r}", "Give each a `name:` of its own.")
    roots = [d.root.resolve() for d in data]
    names = data_names(roots)
    if len(set(names.values())) < len(roots):
        raise UsageError("two of the data sets are the same or have the same name", "Rename the folder of one.")
    used = [*called, *(names.values() if len(roots) > 1 else ())]
    if JOBS in used:
        raise UsageError(f"neither a recipe nor a data set can be called {JOBS!r}", "Rename it.")
    return names if len(roots) > 1 else dict.fromkeys(roots, "")
