"""What one network for all machines of a data set learns from: normal training clips, and what tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_agent.calibrate.condition import PROVISIONAL_BELOW
from asd_agent.errors import DataError
from asd_trainer.data.clip_windows import load_windows
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import HeldOut, by_section, held_out_clips, held_out_of_machine
from asd_trainer.engine.progress import StageProgress


@dataclass(frozen=True)
class ClassSet:
    """Clips with their classes.

    Attributes:
        samples: The first window of each clip, int16, shape (clips, samples).
        labels: Place of each clip's class among `classes`, shape (clips,).
        names: Of the clips, with their machines.
        classes: In words, such as `fan 00 source vel=6`.
    """

    samples: npt.NDArray[np.int16]
    labels: npt.NDArray[np.int64]
    names: list[str]
    classes: list[str]


def held_out_of_domains(clips: Sequence[Clip], settings: HeldOut, seed: int, fold: int = 0) -> frozenset[str]:
    """Names of a machine's clips that a network which learns both domains is not trained on.

    A target domain with clips enough for statistics of its own is held out in part, as the source is; one with a few
    is learnt whole, since it gives a location at best.

    Raises:
        DataError: There are too few recordings to leave some for training and some for scoring.
    """
    enough = [c for c in by_section(clips, "target").values() if len(c) >= PROVISIONAL_BELOW]
    return held_out_of_machine(clips, settings, seed, fold).union(
        *(held_out_clips(c, settings, seed, fold) for c in enough)
    )


def learnt_clips(clips: Sequence[Clip], settings: HeldOut, seed: int, fold: int = 0) -> list[Clip]:
    """The normal training clips of every machine less those that are held out of each.

    A machine with too few recordings to hold some out, which cannot be judged, is learnt whole: it is something to
    tell others from.
    """
    found = []
    for machine in sorted({c.machine for c in clips}):
        own = [c for c in clips if c.machine == machine and c.split == "train" and c.label == "normal"]
        held_out = frozenset[str]()
        with suppress(DataError):
            held_out = held_out_of_domains(own, settings, seed, fold)
        found += [c for c in own if c.path.name not in held_out]
    return found


def class_set(clips: Sequence[Clip], progress: StageProgress | None = None) -> ClassSet:
    """Read clips and tell their classes: machine × section × domain × attributes.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window.
    """
    windows = load_windows(clips, progress)
    named = class_names(clips)
    classes = sorted(set(named))
    place = {name: i for i, name in enumerate(classes)}
    return ClassSet(
        windows.samples,
        np.array([place[n] for n in named], dtype=np.int64),
        [f"{c.machine}/{c.path.name}" for c in clips],
        classes,
    )


def class_names(clips: Sequence[Clip]) -> list[str]:
    """The class of each clip in words.

    An attribute that names single recordings is left out: one called `rec`, and any with more values in a section than
    half as many as the section has clips.
    """
    sections: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        sections.setdefault((clip.machine, clip.section), []).append(clip)
    telling = {place: _telling(found) for place, found in sections.items()}
    names = []
    for clip in clips:
        said = [f"{k}={clip.attributes.get(k, '')}" for k in telling[clip.machine, clip.section]]
        names.append(" ".join([clip.machine, clip.section, clip.domain or "source", *said]))
    return names


def _telling(clips: Iterable[Clip]) -> list[str]:
    """Attributes that tell a section's clips apart without naming each."""
    values: dict[str, set[str]] = {}
    count = 0
    for clip in clips:
        count += 1
        for name, value in clip.attributes.items():
            values.setdefault(name, set()).add(value)
    return sorted(n for n, seen in values.items() if n != "rec" and len(seen) <= max(count // 2, 1))
