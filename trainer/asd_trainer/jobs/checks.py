"""Checks of a plan before anything runs: what a machine's clips permit, from their names alone."""

from __future__ import annotations

from collections.abc import Sequence

from asd_agent.errors import DataError
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import LEAST_RECORDINGS, DataSplit, by_section
from asd_trainer.families.registry import family_of
from asd_trainer.recipes.recipe import Recipe

DEVELOPMENT = ("00", "01", "02")
"""Sections whose labels may choose among members, as in the paper."""
DOMAINS = ("source", "target")


def check_permits(recipe: Recipe, machine: str, split: DataSplit) -> None:
    """Check that a machine's normal training clips permit a recipe.

    Raises:
        DataError: There are none, a section has target clips alone, or there are too few recordings.
    """
    clips = split.training(machine)
    source = by_section(clips, "source")
    for section in sorted(set(by_section(clips, "target")) - set(source)):
        raise DataError(
            f"section {section} of {machine} has target clips but no source clips for training",
            "Name the clips that there are most of 'source'.",
        )
    if not source:
        raise DataError(f"machine {machine} has no normal clips for training", "See `asd-trainer inspect`.")
    for expert in recipe.experts:
        family_of(expert.kind).check(expert, machine, split)
    if any(expert.trained for expert in recipe.experts):
        split.held_out(machine)
        return
    for chosen in source.values():
        recordings = {c.recording for c in chosen}
        if len(recordings) < LEAST_RECORDINGS:
            raise DataError(
                f"{chosen[0].path.parent}: {len(chosen)} normal clips of {len(recordings)} recording of section "
                f"{chosen[0].section} cannot be divided into fitting and scoring",
                f"Give at least {LEAST_RECORDINGS} normal recordings of each section.",
            )


def check_labels(machine: str, clips: Sequence[Clip]) -> None:
    """Check that there are labels to choose members by.

    Raises:
        DataError: No development section has normal and anomalous test clips in one domain.
    """
    for section in DEVELOPMENT:
        for domain in DOMAINS:
            labels = {c.label for c in clips if (c.section, c.domain or "source") == (section, domain)}
            if {"normal", "anomaly"} <= labels:
                return
    raise DataError(
        f"machine {machine} has no labelled anomalies in sections {', '.join(DEVELOPMENT)} to choose members by",
        "Train without --members-by-labels; `members` of a recipe states how many are used.",
    )
