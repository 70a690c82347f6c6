"""Families whose members are one graph a machine, from log-mels to rows of numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Kind, MaskBank, Member
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import ClipSet, load_log_mels
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import DataSplit, by_section, section_values
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.base import GRAPH, Family, MemberJob, MemberRequest, MemberTraining, TrainedExpert
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.families.settings import Execution, NetworkExpert

N = TypeVar("N", bound=NetworkExpert)
Arrays = dict[str, npt.NDArray[Any]]


class MachineFamily(Family[N]):
    """Family with one member a machine, which learns log-mels of all sections and exports a graph.

    Subclasses write `fit`. The graph has the input `features`, log-mels in decibels of shape (windows, frames, n_mels)
    for any number of windows, and perhaps `section`, the section's value, shape (windows,). Its outputs have the shape
    (windows, rows, dimensions); several stand side by side.

    Attributes:
        member_kind: Kind of the members in the manifest, by which the agent explains a window; `network` for what the
            agent does not know.
        both_domains: Whether members learn the target's clips as well. Otherwise these are kept for the scorer: of
            three clips, each is worth more there.
    """

    member_kind: Kind = "network"
    both_domains: bool = False

    @abstractmethod
    def fit(
        self, clips: ClipSet, expert: N, execution: Execution, folder: Path, *, seed: int, progress: StepProgress
    ) -> float:
        """Train on clips and write the graph `model.onnx` into the folder.

        Args:
            clips: Log-mels and section values.
            expert: Settings of the member.
            execution: Device, repeatability and checkpoints.
            folder: Folder of this training alone.
            seed: Seed of everything random.
            progress: Called after each step.

        Returns:
            The largest difference between what the graph computes and what was trained.
        """

    def size(self, expert: N) -> Mapping[str, int]:  # noqa: ARG002
        """Return the steps or epochs of a training."""
        return {}

    def section_numbers(self, sections: Sequence[str]) -> dict[str, float]:
        """Return the value that the graph gets for each section; `sections` are those with source clips, sorted."""
        return section_values(sections)

    def masks(self, trained: TrainedExpert[N]) -> tuple[list[MaskBank | None], Arrays]:
        """Return each member's test-time replicas, and the mask banks by their keys."""
        return [None] * len(trained.folders), {}

    def trainings_per_member(self, machine: str, split: DataSplit) -> int:  # noqa: ARG002
        """Return one."""
        return 1

    def jobs(self, request: MemberRequest[N]) -> Sequence[MemberJob[N]]:
        """Return one training for the machine."""
        return [
            MemberJob(
                name=request.named.member_id(request.number),
                expert=request.expert.for_training(),
                clips=["machine" if self.both_domains else "source"],
                size={
                    "clips": len(self._learnt(request.split, request.machine, request.fold)),
                    **self.size(request.expert),
                },
            )
        ]

    def train(self, training: MemberTraining[N]) -> dict[str, Any]:
        """Train on the machine's clips and export the graph."""
        learnt = self._learnt(training.split, training.machine, training.fold)
        spec = training.expert.features or FeatureSpec()
        clips = self._with_sections(load_log_mels(learnt, spec, training.cache), learnt, training)
        difference = self.fit(
            clips,
            training.expert,
            training.execution,
            training.folder,
            seed=training.seed,
            progress=training.progress,
        )
        return {"clips": len(clips), "off_by": difference}

    def plan(self, trained: TrainedExpert[N]) -> ExpertPlan:
        """Return the expert with one graph for each member."""
        named, split = trained.named, trained.split
        expert = named.expert
        numbers = self.section_numbers(list(by_section(split.training(trained.machine), "source")))
        masks, arrays = self.masks(trained)
        members, files = [], {}
        for number, folder in enumerate(trained.folders):
            name = f"members/{named.member_id(number)}.onnx"
            files[name] = folder / GRAPH
            members.append(
                Member(
                    id=named.member_id(number),
                    kind=self.member_kind,
                    features=expert.member(number, trained.features).features,
                    graph=name,
                    sections=numbers,
                    masks=masks[number],
                )
            )
        return ExpertPlan(
            name=named.name,
            members=members,
            density=expert.density,
            graphs=files,
            arrays=arrays,
            held_out=[split.held_out(trained.machine, named.fold(n)) for n in range(len(members))],
            knows_target=self.both_domains,
            scorers=expert.scorers,
            fitted_to=expert.fitted_to,
            pooling=expert.frame_pooling,
            combination=expert.combination,
            chosen=trained.member_names(),
        )

    def _learnt(self, split: DataSplit, machine: str, fold: int) -> list[Clip]:
        """Clips that a member learns, section by section, the source's first."""
        training, held_out = split.training(machine), split.held_out(machine, fold)
        domains = ("source", "target") if self.both_domains else ("source",)
        return [
            c
            for domain in domains
            for own in by_section(training, domain).values()
            for c in own
            if c.path.name not in held_out
        ]

    def _with_sections(self, clips: ClipSet, learnt: Sequence[Clip], training: MemberTraining[N]) -> ClipSet:
        values = section_values(list(by_section(training.split.training(training.machine), "source")))
        return replace(clips, sections=np.array([values[c.section] for c in learnt], np.float32))
