"""The family of the official MobileNetV2 of DCASE 2021 Task 2, which tells sections apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asd_agent.errors import DataError
from asd_trainer.data.clips import ClipSet
from asd_trainer.data.split import DataSplit, by_section
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.excerpt_family import ExcerptFamily
from asd_trainer.families.registry import register
from asd_trainer.families.section_classifier.settings import SectionExpert
from asd_trainer.families.settings import Execution

if TYPE_CHECKING:
    from asd_trainer.families.section_classifier.network import SectionClassifier

LEAST_SECTIONS = 2
"""Sections of a machine, so that there is something to tell apart."""


class SectionFamily(ExcerptFamily[SectionExpert]):
    """Classifiers of sections: the logarithm of the odds against the right section is the score."""

    settings = SectionExpert
    prefix = "sections"
    member_kind = "section_classifier"

    def check(self, expert: SectionExpert, machine: str, split: DataSplit) -> None:
        """Check that there are sections to tell apart."""
        if len(by_section(split.training(machine), "source")) < LEAST_SECTIONS:
            raise DataError(
                f"machine {machine} has one section, and an expert of the recipe learns to tell sections apart",
                f"Use a recipe without `kind: {expert.kind}`.",
            )

    def section_numbers(self, sections: Sequence[str]) -> dict[str, float]:
        """Return the place of each section among the machine's, by which the graph picks a probability."""
        return {section: float(place) for place, section in enumerate(sections)}

    def learn(
        self,
        clips: ClipSet,
        expert: SectionExpert,
        execution: Execution,
        folder: Path,
        *,
        seed: int,
        progress: StepProgress | None,
    ) -> SectionClassifier:
        """Train a network and return it, on the CPU, in evaluation mode."""
        from asd_trainer.families.section_classifier.training import load_sections, train_sections

        return load_sections(train_sections(clips, expert, execution, folder, seed=seed, progress=progress))


register(SectionFamily())
