"""What there is to do for recipes on data sets, as a graph of jobs: one a network, one a bundle, one an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asd_agent.bundle.manifest import ARITHMETIC_VERSION, SCHEMA_VERSION
from asd_agent.bundle.store import file_digest
from asd_agent.errors import UsageError
from asd_trainer.classes import class_names, learnt_clips
from asd_trainer.data.dataset import DataSet
from asd_trainer.data.layout import Clip
from asd_trainer.digests import Digests
from asd_trainer.experts import Numbered, check_permits, numbered
from asd_trainer.held_out import by_section, held_out_of_machine
from asd_trainer.jobs import Job
from asd_trainer.jobs import digests as job_digests
from asd_trainer.outliers import folder_sounds, needs_transforms, sources_of
from asd_trainer.recipe import Recipe
from asd_trainer.runs import JOBS, Run, data_names
from asd_trainer.selection import check_labels
from asd_trainer.settings import (
    AnyNetwork,
    BaselineExpert,
    ClassifierExpert,
    EmbeddingExpert,
    EpochSettings,
    MachineNetwork,
    NetworkExpert,
    PseudoAnomalies,
)
from asd_trainer.windows import Progress

ARITHMETIC = 1
"""Raised when the same inputs give another network, bundle or evaluation than before."""
MEMBER, BUNDLE, EVALUATION = "network", "bundle", "evaluation"
"""Kinds of jobs."""


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
    progress: Progress | None = None,
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
    builder = _Builder(out, evaluations, remembered)
    for one in data:
        for machine in (m for m in one.machines if not machines or m in machines):
            clips = _Clips.of(one, machine, remembered, tested, whole, progress)
            for recipe in recipes:
                check_permits(recipe, machine, clips.training)
                for seed in seeds:
                    builder.add(names[one.root.resolve()], clips, recipe, seed)
    remembered.remember()
    return builder.plan()


def code_version() -> dict[str, Any]:
    """What every job depends on besides its settings and its data."""
    return {"asd": version("asd"), "arithmetic": ARITHMETIC}


def network_part(recipe: Recipe, expert: AnyNetwork, number: int = 0) -> Recipe:
    """What of a recipe decides a member's network; the rest is at its defaults."""
    return Recipe(
        name=MEMBER,
        experts=[expert.member(number, recipe.features).learnt()],
        held_out=recipe.held_out,
        checkpoint_every=recipe.checkpoint_every,
        device=recipe.device,
        deterministic=recipe.deterministic,
    )


@dataclass(frozen=True)
class _Clips:
    """One machine's clips and their digests; those of the source alone decide a network."""

    root: Path
    machine: str
    training: list[Clip]
    testing: list[Clip]
    everything: list[Clip]
    source_digest: str
    training_digest: str
    testing_digest: str
    everything_digest: str

    @classmethod
    def of(
        cls, data: DataSet, machine: str, digests: Digests, testing: bool, whole: bool, progress: Progress | None
    ) -> _Clips:
        root = data.root.resolve()
        training = data.select(machine=machine, split="train", label="normal")
        tested = labelled_clips(data, machine) if testing else []
        source = [c for section in by_section(training, "source").values() for c in section]
        everything = data.select(split="train", label="normal")
        return cls(
            root,
            machine,
            training,
            tested,
            everything,
            digests.of(source, root, progress),
            digests.of(training, root, progress),
            digests.of(tested, root, progress),
            digests.of(everything, root, progress) if whole else "",
        )

    def digest(self, recipe: Recipe) -> str:
        """Of all clips that a bundle comes from: the machine's, or those of the whole data set."""
        shared = any(isinstance(e, EmbeddingExpert) for e in recipe.experts)
        return self.everything_digest if shared else self.training_digest


def labelled_clips(data: DataSet, machine: str) -> list[Clip]:
    """The test clips of a machine whose labels are known."""
    return [c for c in data.select(machine=machine, split="test") if c.label is not None]


def evaluation_job(name: str, machine: str, testing_digest: str, data: Path, bundle: str) -> Job:
    """The job that scores a bundle, which another job makes."""
    return Job(
        name=name,
        kind=EVALUATION,
        run="asd_trainer.evaluate:evaluate_bundle",
        arguments={"machine": machine},
        inputs={"data": testing_digest, "code": code_version()},
        paths={"data": str(data)},
        depends_on=(bundle,),
    )


class _Builder:
    def __init__(self, out: Path, evaluations: bool, digests: Digests) -> None:
        self._out, self._evaluations, self._digests = out, evaluations, digests
        self._notes: list[str] = []
        self._jobs: list[Job] = []
        self._sizes: dict[str, dict[str, int]] = {}
        self._wanted: list[tuple[Path, _Clips, Recipe, int, str]] = []
        self._left_out: list[str] = []

    def add(self, prefix: str, clips: _Clips, recipe: Recipe, seed: int) -> None:
        """One machine by one recipe from one seed."""
        place = Path(prefix, recipe.name, f"seed-{seed}", clips.machine)
        members: list[str] = []
        for one in numbered(recipe):
            if isinstance(one.expert, ClassifierExpert):
                members += self._classifiers(place, clips, recipe, one, one.expert, seed)
            elif isinstance(one.expert, EmbeddingExpert):
                members += self._embeddings(place, clips, recipe, one, one.expert, seed)
            elif isinstance(one.expert, NetworkExpert):
                members += self._members(place, clips, recipe, one, one.expert, seed)
        if recipe.by_labels:
            members.append(self._pool(place, clips, recipe, seed, members))
        bundle = self._bundle(f"{place}/{BUNDLE}", clips, recipe, seed if _by_chance(recipe) else 0, members)
        self._wanted.append((place, clips, recipe, seed, bundle.name))
        if clips.testing and self._evaluations:
            job = evaluation_job(f"{place}/{EVALUATION}", clips.machine, clips.testing_digest, clips.root, bundle.name)
            self._take(job, clips=len(clips.testing))
        elif self._evaluations:
            self._left_out.append(f"{place}: {clips.root} has no labelled test clips of {clips.machine}")

    def _bundle(self, name: str, clips: _Clips, recipe: Recipe, seed: int, needs: Sequence[str]) -> Job:
        job = Job(
            name=name,
            kind=BUNDLE,
            run="asd_trainer.train:fit_bundle",
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

    def _pool(self, place: Path, clips: _Clips, recipe: Recipe, seed: int, members: Sequence[str]) -> str:
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

    def _members(
        self, place: Path, clips: _Clips, recipe: Recipe, one: Numbered, expert: MachineNetwork, seed: int
    ) -> list[str]:
        names = []
        baseline = isinstance(expert, BaselineExpert)
        heard = clips.training if baseline else [c for s in by_section(clips.training, "source").values() for c in s]
        for number in range(expert.members):
            fold = one.fold(number)
            learnt = len(heard) - len(held_out_of_machine(clips.training, recipe.held_out, seed, fold))
            job = Job(
                name=f"{place}/{one.member_id(number)}",
                kind=MEMBER,
                run="asd_trainer.train:train_network",
                arguments={
                    "machine": clips.machine,
                    "part": network_part(recipe, expert, number).model_dump(mode="json"),
                    "seed": seed,
                    "fold": fold,
                    "member_seed": one.member_seed(seed, number),
                },
                inputs={
                    "data": clips.training_digest if baseline else clips.source_digest,
                    "code": code_version(),
                },
                paths={"data": str(clips.root)},
            )
            self._take(job, clips=learnt, **_steps(expert))
            names.append(job.name)
        return names

    def _classifiers(
        self, place: Path, clips: _Clips, recipe: Recipe, one: Numbered, expert: ClassifierExpert, seed: int
    ) -> list[str]:
        names = []
        target = by_section(clips.training, "target")
        for number in range(expert.members):
            part, fold = network_part(recipe, expert, number), one.fold(number)
            learnt = part.classifier()
            held_out = held_out_of_machine(clips.training, recipe.held_out, seed, fold)
            for section, own in by_section(clips.training, "source").items():
                found = sources_of(learnt.outliers, section, clips.machine, clips.everything)
                if needs_transforms(learnt.outliers, found):
                    self._note(
                        f"{place}: there is nothing but section {section} of {clips.machine} in {clips.root}: its own "
                        "normal clips, altered, serve as pseudo-anomalies"
                    )
                if expert.tuning is not None and section not in target:
                    self._note(
                        f"{place}: section {section} of {clips.machine} has no target clips: nothing is tuned to them"
                    )
                job = Job(
                    name=f"{place}/{one.place_id(number, section)}",
                    kind=MEMBER,
                    run="asd_trainer.classifier_job:train_section",
                    arguments={
                        "machine": clips.machine,
                        "section": section,
                        "part": part.model_dump(mode="json"),
                        "seed": seed,
                        "fold": fold,
                        "member_seed": one.member_seed(seed, number),
                    },
                    inputs={
                        "data": clips.training_digest,
                        "outliers": self._digest_of(learnt.outliers, clips),
                        "weights": None if learnt.network.weights is None else file_digest(learnt.network.weights),
                        "code": code_version(),
                    },
                    paths={"data": str(clips.root)},
                )
                tuned = expert.tuning.steps if expert.tuning is not None and section in target else 0
                learns = [c for c in own if c.path.name not in held_out]
                self._take(job, clips=len(learns), steps=expert.training.steps + tuned)
                names.append(job.name)
        return names

    def _embeddings(
        self, place: Path, clips: _Clips, recipe: Recipe, one: Numbered, expert: EmbeddingExpert, seed: int
    ) -> list[str]:
        """One network for all machines of the data set, whichever of them are asked for."""
        names = []
        for number in range(expert.members):
            name, fold = f"{place.parent}/{one.member_id(number)}", one.fold(number)
            names.append(name)
            if name in self._sizes:  # of another machine's run
                continue
            learnt = learnt_clips(clips.everything, recipe.held_out, seed, fold)
            classes = set(class_names(learnt))
            if len(classes) == 1:
                self._note(
                    f"{place.parent}: {clips.root} holds one class of normal sound: the network learns to tell altered "
                    "versions of it apart"
                )
            job = Job(
                name=name,
                kind=MEMBER,
                run="asd_trainer.embedding_job:train_embedding_network",
                arguments={
                    "part": network_part(recipe, expert, number).model_dump(mode="json"),
                    "seed": seed,
                    "fold": fold,
                    "member_seed": one.member_seed(seed, number),
                },
                inputs={"data": clips.everything_digest, "code": code_version()},
                paths={"data": str(clips.root)},
            )
            self._take(job, clips=len(learnt), epochs=expert.training.epochs)
        return names

    def _digest_of(self, outliers: PseudoAnomalies, clips: _Clips) -> dict[str, str]:
        """What pseudo-anomalies hang on besides the machine's own clips."""
        found = {}
        if "machines" in outliers.sources:
            found["machines"] = clips.everything_digest
        if outliers.folder is not None:
            found["folder"] = self._digests.of_files(folder_sounds(outliers.folder), outliers.folder)
        return found

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _take(self, job: Job, **size: int) -> None:
        self._jobs.append(job)
        self._sizes[job.name] = size


def _by_chance(recipe: Recipe) -> bool:
    """Whether a seed decides anything: weights, held-out clips, or where a mixture's fit begins."""
    return any(isinstance(e, NetworkExpert) or e.density.density == "gmm" for e in recipe.experts)


def _steps(expert: MachineNetwork) -> dict[str, int]:
    training = expert.training
    return {"epochs": training.epochs} if isinstance(training, EpochSettings) else {"steps": training.steps}


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
