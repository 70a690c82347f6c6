"""The family of binary classifiers: one network a section, and one tuned to its target domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asd_agent.bundle.files import file_digest
from asd_agent.bundle.manifest import DomainName, Member
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.split import DataSplit, by_section
from asd_trainer.families.base import (
    GRAPH,
    Clips,
    Family,
    MemberJob,
    MemberRequest,
    MemberTraining,
    NamedExpert,
    TrainedExpert,
)
from asd_trainer.families.classifier.settings import ClassifierExpert
from asd_trainer.families.expert_plan import ExpertPlan, Place
from asd_trainer.families.registry import register
from asd_trainer.families.settings import Execution
from asd_trainer.families.timing import STEPS, measure_steps, noise_clips

TARGET_GRAPH, LEFT_OUT = "target.onnx", "left-out.npy"
"""Files beside the source's graph: the graph of the network tuned to the target, and what networks that were tuned
without some of the target clips infer of those, shape (target clips, crops, dimensions)."""
SOUNDS = "pseudo_anomalies"
"""Name of the path to a folder of pseudo-anomalies in jobs: the folder may move, its content decides."""


class ClassifierFamily(Family[ClassifierExpert]):
    """Classifiers of normal sound and pseudo-anomalies with metric learning (sections 2.2 and 3.2 of the paper)."""

    settings = ClassifierExpert
    arithmetic = 3  # items of different sides are mixed in the tuning to the target alone
    prefix = "bc"
    chosen_by = "section"

    def describe(self, expert: ClassifierExpert) -> str:
        """Return the kind and the backbone."""
        return f"{expert.kind} {expert.network.backbone}"

    def trainings_per_member(self, machine: str, split: DataSplit) -> int:
        """Return the number of sections."""
        return len(by_section(split.training(machine), "source"))

    def jobs(self, request: MemberRequest[ClassifierExpert]) -> Sequence[MemberJob[ClassifierExpert]]:
        """Return one training for each section."""
        return [
            self._job(request, section) for section in by_section(request.split.training(request.machine), "source")
        ]

    def train(self, training: MemberTraining[ClassifierExpert]) -> dict[str, Any]:
        """Train a section's network and tune it."""
        from asd_trainer.families.classifier.section_training import train_section

        return train_section(training, str(training.more["section"]))

    def plan(self, trained: TrainedExpert[ClassifierExpert]) -> ExpertPlan:
        """Return the expert with one or two graphs for each member and section."""
        named, split = trained.named, trained.split
        expert = named.expert
        clips = split.training(trained.machine)
        source, target = by_section(clips, "source"), by_section(clips, "target")
        members, places, files, left_out, held_out = [], {}, {}, {}, []
        used: dict[str, list[str]] = {}
        pairs = [(number, section) for number in range(expert.members) for section in source]
        for (number, section), folder in zip(pairs, trained.folders, strict=True):
            spec = expert.member(number, trained.features).features
            tuned = (folder / TARGET_GRAPH).exists()
            graphs: dict[DomainName, str] = {"source": GRAPH}
            if tuned:
                graphs["target"] = TARGET_GRAPH
            for domain, graph in graphs.items():
                member = named.place_id(number, section, domain)
                name = f"members/{member}.onnx"
                files[name] = folder / graph
                members.append(Member(id=member, kind="classifier", features=spec, graph=name))
                held_out.append(split.held_out(trained.machine, named.fold(number)))
                judges_both = domain == "source" and not tuned and section in target
                domains: tuple[DomainName, ...] = ("source", "target") if judges_both else (domain,)
                places[member] = Place(section, domains, named.member_id(number))
                if domain == "target":
                    left_out[member] = folder / LEFT_OUT
                for judged, numbers in trained.chosen.items():
                    if number in numbers:
                        used.setdefault(judged, []).append(member)
        return ExpertPlan(
            name=named.name,
            members=members,
            density=expert.density,
            graphs=files,
            held_out=held_out,
            pooling=expert.frame_pooling,
            combination=expert.combination,
            chosen=used,
            places=places,
            left_out=left_out,
        )

    def candidates(self, named: NamedExpert[ClassifierExpert], number: int, section: str, domain: str) -> Sequence[str]:
        """Return the network that is tuned to the domain, or else the source's."""
        return tuple(named.place_id(number, section, one) for one in (domain, "source"))

    def seconds_per_step(self, expert: ClassifierExpert, execution: Execution) -> float:
        """Measure a few steps on noise."""
        from asd_trainer.families.classifier.training import train_classifier

        brief = expert.model_copy(update={"training": expert.training.model_copy(update={"steps": STEPS})})
        clips = noise_clips(expert.training.batch).with_log_mels(expert.features or FeatureSpec())
        half = len(clips) // 2
        normal, other = clips.only(range(half)), clips.only(range(half, len(clips)))
        return measure_steps(
            lambda folder, progress: train_classifier(
                normal, other, brief, execution, folder, seed=0, progress=progress
            )
        )

    def _job(self, request: MemberRequest[ClassifierExpert], section: str) -> MemberJob[ClassifierExpert]:
        from asd_trainer.families.classifier.pseudo_anomalies import folder_sounds

        expert = request.expert.for_training()
        wanted = expert.pseudo_anomalies
        decide: list[Clips] = ["machine"]
        inputs: dict[str, str] = {}
        paths: dict[str, Path] = {}
        if "machines" in wanted.sources:
            decide.append("data_set")
        if wanted.folder is not None:
            folder = wanted.folder.resolve()
            inputs[SOUNDS] = request.digest_of_files(folder_sounds(folder), folder)
            paths[SOUNDS] = folder
            expert = expert.with_sounds_in(Path(SOUNDS))
        if expert.network.weights is not None:
            inputs["weights"] = file_digest(expert.network.weights)
        training = request.split.training(request.machine)
        held_out = request.split.held_out(request.machine, request.fold)
        target = by_section(training, "target").get(section, [])
        return MemberJob(
            name=request.named.place_id(request.number, section),
            expert=expert,
            clips=decide,
            size={
                "clips": sum(c.path.name not in held_out for c in by_section(training, "source")[section]),
                "steps": expert.steps(target),
            },
            arguments={"section": section},
            inputs=inputs,
            paths=paths,
            notes=self._notes(request, section, expert),
        )

    def _notes(self, request: MemberRequest[ClassifierExpert], section: str, expert: ClassifierExpert) -> list[str]:
        from asd_trainer.families.classifier.pseudo_anomalies import needs_transforms, sources_of

        split, machine, found = request.split, request.machine, []
        sources = sources_of(expert.pseudo_anomalies, section, machine, split.training())
        if needs_transforms(expert.pseudo_anomalies, sources):
            found.append(
                f"{request.run}: there is nothing but section {section} of {machine} in {split.root}: its own normal "
                "clips, transformed, serve as pseudo-anomalies"
            )
        if expert.tuning is not None and section not in by_section(split.training(machine), "target"):
            found.append(f"{request.run}: section {section} of {machine} has no target clips: nothing is tuned to them")
        return found


register(ClassifierFamily())
