"""The jobs that train a recipe's networks: one a machine, one a section, or one for a whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asd_agent.bundle.files import file_digest
from asd_trainer.data.attribute_classes import class_names, learnt_clips
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section, held_out_of_machine
from asd_trainer.families.classifier.pseudo_anomalies import folder_sounds, needs_transforms, sources_of
from asd_trainer.families.settings import (
    AnyNetwork,
    BaselineExpert,
    ClassifierExpert,
    EmbeddingExpert,
    EpochSettings,
    MachineNetwork,
    PlainExpert,
)
from asd_trainer.fit.expert_plans import Numbered
from asd_trainer.jobs import Job
from asd_trainer.jobs.machine_clips import MachineClips
from asd_trainer.recipes.recipe import Recipe

ARITHMETIC = 1
"""Raised when the same inputs give another network, bundle or evaluation than before."""
CLASSIFIER = 2
"""The same for classifiers alone. 2: the one-cycle schedule also moves the first beta of Adam."""
MEMBER = "network"
"""Kind of these jobs."""
Sized = tuple[Job, dict[str, int]]
"""A job with its clips, and its steps or epochs."""


@dataclass(frozen=True)
class Planned:
    """What one expert asks for.

    Attributes:
        jobs: In the order of its members.
        notes: What is done otherwise than the recipe says since the data do not permit it, in words.
    """

    jobs: Sequence[Sized]
    notes: Sequence[str] = ()


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


def network_jobs(place: Path, clips: MachineClips, recipe: Recipe, one: Numbered, seed: int) -> Planned:
    """The jobs of one expert of a recipe.

    Args:
        place: Of the run, which its jobs are named after.
        clips: The machine's.
        recipe: The whole recipe.
        one: Its expert.
        seed: Of the run.

    Raises:
        ConfigError: A folder of pseudo-anomalies or a file of weights is not there.
    """
    if isinstance(one.expert, PlainExpert):
        return Planned(())
    if isinstance(one.expert, ClassifierExpert):
        return _of_sections(place, clips, recipe, one, one.expert, seed)
    if isinstance(one.expert, EmbeddingExpert):
        return _of_data_set(place, clips, recipe, one, one.expert, seed)
    return _of_machine(place, clips, recipe, one, one.expert, seed)


def _of_machine(
    place: Path, clips: MachineClips, recipe: Recipe, one: Numbered, expert: MachineNetwork, seed: int
) -> Planned:
    jobs: list[Sized] = []
    baseline = isinstance(expert, BaselineExpert)
    heard = clips.training if baseline else [c for s in by_section(clips.training, "source").values() for c in s]
    for number in range(expert.members):
        fold = one.fold(number)
        learnt = len(heard) - len(held_out_of_machine(clips.training, recipe.held_out, seed, fold))
        job = Job(
            name=f"{place}/{one.member_id(number)}",
            kind=MEMBER,
            run="asd_trainer.jobs.train:train_network",
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
        jobs.append((job, {"clips": learnt, **_steps(expert)}))
    return Planned(jobs)


def _of_sections(
    place: Path, clips: MachineClips, recipe: Recipe, one: Numbered, expert: ClassifierExpert, seed: int
) -> Planned:
    jobs: list[Sized] = []
    notes: list[str] = []
    for number in range(expert.members):
        for section, own in by_section(clips.training, "source").items():
            job, size = _of_section(place, clips, recipe, one, expert, seed, number, section, own)
            jobs.append((job, size))
            if number == 0:
                notes += _notes(place, clips, expert, section)
    return Planned(jobs, notes)


def _of_section(
    place: Path,
    clips: MachineClips,
    recipe: Recipe,
    one: Numbered,
    expert: ClassifierExpert,
    seed: int,
    number: int,
    section: str,
    own: Sequence[Clip],
) -> Sized:
    """One section's network; the folder of pseudo-anomalies may move, what it holds decides."""
    part, fold = network_part(recipe, expert, number), one.fold(number)
    learnt = part.classifier()
    inputs: dict[str, Any] = {"data": clips.training_digest, "code": {**code_version(), "classifier": CLASSIFIER}}
    paths = {"data": str(clips.root)}
    if "machines" in learnt.outliers.sources:
        inputs["machines"] = clips.everything_digest
    if learnt.outliers.folder is not None:
        folder = learnt.outliers.folder.resolve()
        inputs["outliers"] = clips.digests.of_files(folder_sounds(folder), folder)
        paths["outliers"] = str(folder)
        part = part.with_outliers_in(Path("outliers"))
    if learnt.network.weights is not None:
        inputs["weights"] = file_digest(learnt.network.weights)
    job = Job(
        name=f"{place}/{one.place_id(number, section)}",
        kind=MEMBER,
        run="asd_trainer.families.classifier.job:train_section",
        arguments={
            "machine": clips.machine,
            "section": section,
            "part": part.model_dump(mode="json"),
            "seed": seed,
            "fold": fold,
            "member_seed": one.member_seed(seed, number),
        },
        inputs=inputs,
        paths=paths,
    )
    held_out = held_out_of_machine(clips.training, recipe.held_out, seed, fold)
    return job, {
        "clips": sum(c.path.name not in held_out for c in own),
        "steps": _classifier_steps(expert, clips, section),
    }


def _classifier_steps(expert: ClassifierExpert, clips: MachineClips, section: str) -> int:
    """Of the source's network, its tuning, and the tunings without some of the target clips."""
    target = by_section(clips.training, "target").get(section, [])
    if expert.tuning is None or not target:
        return expert.training.steps
    recordings = len({c.recording for c in target})
    without = min(expert.tuning.folds, recordings) if recordings > 1 else 0
    return expert.training.steps + (1 + without) * expert.tuning.steps


def _notes(place: Path, clips: MachineClips, expert: ClassifierExpert, section: str) -> list[str]:
    found = []
    if needs_transforms(expert.outliers, sources_of(expert.outliers, section, clips.machine, clips.everything)):
        found.append(
            f"{place}: there is nothing but section {section} of {clips.machine} in {clips.root}: "
            "its own normal clips, altered, serve as pseudo-anomalies"
        )
    if expert.tuning is not None and section not in by_section(clips.training, "target"):
        found.append(f"{place}: section {section} of {clips.machine} has no target clips: nothing is tuned to them")
    return found


def _of_data_set(
    place: Path, clips: MachineClips, recipe: Recipe, one: Numbered, expert: EmbeddingExpert, seed: int
) -> Planned:
    """One network for all machines of the data set, whichever of them are asked for."""
    jobs: list[Sized] = []
    notes: list[str] = []
    for number in range(expert.members):
        fold = one.fold(number)
        learnt = learnt_clips(clips.everything, recipe.held_out, seed, fold)
        if len(set(class_names(learnt))) == 1:
            notes.append(
                f"{place.parent}: {clips.root} holds one class of normal sound: the network learns to tell altered "
                "versions of it apart"
            )
        job = Job(
            name=f"{place.parent}/{one.member_id(number)}",
            kind=MEMBER,
            run="asd_trainer.families.embedding.job:train_embedding_network",
            arguments={
                "part": network_part(recipe, expert, number).model_dump(mode="json"),
                "seed": seed,
                "fold": fold,
                "member_seed": one.member_seed(seed, number),
            },
            inputs={"data": clips.everything_digest, "code": code_version()},
            paths={"data": str(clips.root)},
        )
        jobs.append((job, {"clips": len(learnt), "epochs": expert.training.epochs}))
    return Planned(jobs, notes)


def _steps(expert: MachineNetwork) -> dict[str, int]:
    training = expert.training
    return {"epochs": training.epochs} if isinstance(training, EpochSettings) else {"steps": training.steps}
