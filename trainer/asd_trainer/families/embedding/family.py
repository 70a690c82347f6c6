"""The family of embeddings: one network for all machines of a data set, and banks of normal embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from asd_agent.bundle.manifest import Member
from asd_trainer.data.attribute_classes import class_counts, class_names, few_clips, groups_by_sound, load_classes
from asd_trainer.data.split import DataSplit
from asd_trainer.families.base import GRAPH, Family, MemberJob, MemberRequest, MemberTraining, TrainedExpert
from asd_trainer.families.embedding.settings import EmbeddingExpert
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.families.registry import register
from asd_trainer.families.settings import Execution
from asd_trainer.families.timing import STEPS, measure_steps, noise_clips


class EmbeddingFamily(Family[EmbeddingExpert]):
    """Networks that tell machines, sections, attributes and domains apart (Wilkinghoff 2021)."""

    settings = EmbeddingExpert
    arithmetic = 2  # attributes are admitted jointly, and clips without any are grouped by their sound
    prefix = "embedding"
    whole_data_set = True

    def check(self, expert: EmbeddingExpert, machine: str, split: DataSplit) -> None:  # noqa: ARG002
        """Check that clips of both domains can be held out."""
        split.held_out(machine, both_domains=True)

    def trainings_per_member(self, machine: str, split: DataSplit) -> int:  # noqa: ARG002
        """Return one."""
        return 1

    def jobs(self, request: MemberRequest[EmbeddingExpert]) -> Sequence[MemberJob[EmbeddingExpert]]:
        """Return one training for all machines of the data set, whichever of them are asked for."""
        learnt = request.split.learnt_of_all(request.fold)
        notes = []
        if len(set(class_names(learnt))) == 1 and not groups_by_sound(learnt):
            notes.append(
                f"{request.run.parent}: {request.split.root} holds one class of normal sound: the network "
                "learns to tell transformed versions of it apart"
            )
        return [
            MemberJob(
                name=request.named.member_id(request.number),
                expert=request.expert.for_training(),
                clips=["data_set"],
                size={"clips": len(learnt), "epochs": request.expert.training.epochs},
                notes=notes,
            )
        ]

    def train(self, training: MemberTraining[EmbeddingExpert]) -> dict[str, Any]:
        """Train a network on the clips of all machines and export it."""
        from asd_trainer.engine.onnx_export import export_network
        from asd_trainer.families.embedding.training import load_embedding, train_embedding

        clips = load_classes(training.split.learnt_of_all(training.fold))
        counts = class_counts(clips)
        warning = few_clips(counts)
        if warning:
            warnings.warn(warning, stacklevel=2)
        final = train_embedding(
            clips,
            training.expert,
            training.execution,
            training.folder,
            seed=training.seed,
            progress=training.progress,
        )
        difference = export_network(load_embedding(final), training.folder / GRAPH)
        return {"clips": len(clips), "classes": counts, "off_by": difference}

    def plan(self, trained: TrainedExpert[EmbeddingExpert]) -> ExpertPlan:
        """Return the expert with one graph for each member; what a bank holds is decided by `domains`."""
        named, split = trained.named, trained.split
        expert = named.expert
        ids = [named.member_id(number) for number in range(len(trained.folders))]
        files = {f"members/{name}.onnx": folder / GRAPH for name, folder in zip(ids, trained.folders, strict=True)}
        return ExpertPlan(
            name=named.name,
            members=[
                Member(id=name, kind="embedding", inputs=dict(expert.network.inputs), graph=graph)
                for name, graph in zip(ids, files, strict=True)
            ],
            density=expert.density,
            graphs=files,
            held_out=[split.held_out(trained.machine, named.fold(n), both_domains=True) for n in range(len(ids))],
            knows_target=True,
            own_domain=expert.domains == "own",
            pooling=expert.frame_pooling,
            combination=expert.combination,
            chosen=trained.member_names(),
        )

    def steps(self, expert: EmbeddingExpert, size: Mapping[str, int]) -> int:
        """Return the number of steps of a training."""
        return expert.training.steps(size["clips"])

    def seconds_per_step(self, expert: EmbeddingExpert, execution: Execution) -> float:
        """Measure an epoch of a few steps on noise."""
        from asd_trainer.families.embedding.training import train_embedding

        brief = expert.model_copy(update={"training": expert.training.model_copy(update={"epochs": 1})})
        clips = noise_clips(STEPS * expert.training.batch)
        return measure_steps(
            lambda folder, progress: train_embedding(clips, brief, execution, folder, seed=0, progress=progress)
        )


register(EmbeddingFamily())
