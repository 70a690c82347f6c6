"""The plan: recipes on data sets as a graph of jobs, one a training, one a bundle, one an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.errors import UsageError
from asd_trainer.data.dataset import DataSet
from asd_trainer.data.digests import Digests
from asd_trainer.data.split import DataSplit, HeldOut
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.base import MemberRequest, NamedExpert
from asd_trainer.families.registry import family_of
from asd_trainer.jobs import Job
from asd_trainer.jobs import digests as job_digests
from asd_trainer.jobs.checks import check_labels, check_permits
from asd_trainer.jobs.descriptions import (
    BUNDLE,
    EVALUATION,
    RunInputs,
    bundle_job,
    choice_job,
    evaluation_job,
    member_job,
    split_folder,
)
from asd_trainer.jobs.machine_clips import MachineClips
from asd_trainer.jobs.runs import JOBS, Run, data_names
from asd_trainer.recipes.recipe import Recipe


@dataclass(frozen=True)
class RunPlan:
    """One planned run.

    Attributes:
        run: The run, with its place.
        settings: Settings of its recipe.
        evaluation: Digest of the job that scores it; None where none is wanted or no test clip is labelled.
    """

    run: Run
    settings: Mapping[str, Any]
    evaluation: str | None


@dataclass(frozen=True)
class Plan:
    """Jobs, and the runs that they make.

    Attributes:
        out: RUNS.
        jobs: Jobs, dependencies first.
        runs: Runs.
        splits: Splits that the jobs read; they are stored before the jobs start.
        sizes: Size of each job by its name: clips, and steps or epochs for a training.
        left_out: Runs that cannot be evaluated, in words.
        notes: Departures from the recipe that the data require, one sentence each.
    """

    out: Path
    jobs: tuple[Job, ...]
    runs: tuple[RunPlan, ...]
    splits: tuple[DataSplit, ...]
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
    remember: bool = True,
) -> Plan:
    """Plan recipes on data sets. With several data sets, runs are at RUNS/<data>/<recipe>/….

    Args:
        data: Data sets.
        recipes: Recipes.
        seeds: A run for each.
        out: RUNS.
        machines: Machines to train; all where none is named.
        evaluations: Whether bundles are also scored.
        progress: Called after each clip whose digest is computed.
        remember: Store the digests of clips under `out`; a dry run writes nothing.

    Raises:
        UsageError: A machine is in none of the data sets; data sets or recipes cannot be told apart by name.
        DataError: A data set does not permit a recipe.
    """
    names = _names(data, recipes)
    known = sorted({m for d in data for m in d.machines})
    for machine in machines:
        if machine not in known:
            where = ", ".join(str(d.root) for d in data)
            raise UsageError(f"{where}: has no machine {machine!r}", f"It has: {', '.join(known)}.")
    remembered = Digests(out)
    builder = _Builder(out, evaluations)
    for one in data:
        for machine in (m for m in one.machines if not machines or m in machines):
            clips = MachineClips(one, machine, remembered, progress)
            for recipe in recipes:
                for seed in seeds:
                    builder.add(names[one.root.resolve()], clips, recipe, seed)
    if remember:
        remembered.remember()
    return builder.plan()


class _Builder:
    def __init__(self, out: Path, evaluations: bool) -> None:
        self._out, self._evaluations = out, evaluations
        self._notes: list[str] = []
        self._jobs: list[Job] = []
        self._sizes: dict[str, Mapping[str, int]] = {}
        self._splits: dict[tuple[Path, HeldOut, int], DataSplit] = {}
        self._wanted: list[tuple[RunInputs, str]] = []
        self._left_out: list[str] = []

    def add(self, prefix: str, clips: MachineClips, recipe: Recipe, seed: int) -> None:
        """Add one machine by one recipe from one seed."""
        split = self._split(clips, recipe.held_out, seed)
        check_permits(recipe, clips.machine, split)
        name = Path(prefix, recipe.name, f"seed-{seed}", clips.machine)
        run = RunInputs(name, clips, recipe, seed, split, split.path(split_folder(self._out)))
        members = [member for one in recipe.named_experts() for member in self._members(run, one)]
        if recipe.by_labels:
            members.append(self._choice(run, members))
        by_chance = any(e.depends_on_seed for e in recipe.experts)
        bundle = self._take(
            bundle_job(run, BUNDLE, recipe, seed if by_chance else 0, members), {"clips": len(clips.training)}
        )
        self._wanted.append((run, bundle))
        if clips.testing and self._evaluations:
            job = evaluation_job(f"{name}/{EVALUATION}", clips, run.split_file, bundle)
            self._take(job, {"clips": len(clips.testing)})
        elif self._evaluations:
            self._left_out.append(f"{name}: {clips.root} has no labelled test clips of {clips.machine}")

    def plan(self) -> Plan:
        """Return the plan of everything that was added."""
        digests = job_digests(self._jobs)
        runs = [
            RunPlan(
                Run(
                    self._out / run.name,
                    run.recipe.name,
                    run.seed,
                    run.clips.machine,
                    run.clips.root,
                    run.data_digest,
                    digests[bundle],
                ),
                run.recipe.model_dump(mode="json"),
                digests.get(f"{run.name}/{EVALUATION}"),
            )
            for run, bundle in self._wanted
        ]
        return Plan(
            self._out,
            tuple(self._jobs),
            tuple(runs),
            tuple(self._splits.values()),
            self._sizes,
            tuple(self._left_out),
            tuple(self._notes),
        )

    def _split(self, clips: MachineClips, settings: HeldOut, seed: int) -> DataSplit:
        """The split of a data set, computed once for each size of folds and seed."""
        key = clips.root, settings, seed
        if key not in self._splits:
            self._splits[key] = DataSplit.of(clips.data, settings, seed)
        return self._splits[key]

    def _members(self, run: RunInputs, named: NamedExpert[Any]) -> list[str]:
        """Add the trainings of an expert; their names, member by member."""
        family = family_of(named.expert.kind)
        names = []
        for number in range(named.expert.member_count):
            request = MemberRequest(
                named=named,
                expert=named.expert.member(number, run.recipe.features),
                number=number,
                machine=run.clips.machine,
                split=run.split,
                run=run.name,
                digest_of_files=run.clips.digests.of_files,
            )
            for planned in family.jobs(request):
                job = member_job(run, request, planned)
                names.append(job.name)
                self._notes += [note for note in planned.notes if note not in self._notes]
                if job.name not in self._sizes:  # else it belongs to another machine's run too
                    self._take(job, planned.size)
        return names

    def _choice(self, run: RunInputs, members: Sequence[str]) -> str:
        """Add the evaluation of all members together, by which labels choose among them; its name."""
        check_labels(run.clips.machine, run.clips.testing)
        everyone = bundle_job(run, "pool", run.recipe.choosing_none(), run.seed, members)
        pool = self._take(everyone, {"clips": len(run.clips.training)})
        return self._take(choice_job(run, pool), {"clips": len(run.clips.testing)})

    def _take(self, job: Job, size: Mapping[str, int]) -> str:
        self._jobs.append(job)
        self._sizes[job.name] = dict(size)
        return job.name


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
