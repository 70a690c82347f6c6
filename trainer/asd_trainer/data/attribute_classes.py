"""Classes of normal sound: machine × section × domain × attributes, for a network that tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from asd_trainer.data.clips import ClipSet, load_clips
from asd_trainer.data.layout import Clip
from asd_trainer.engine.progress import StageProgress

RECORDING = "rec"
"""Attribute that names single recordings in the layout that `asd-trainer import` writes."""


def load_classes(clips: Sequence[Clip], progress: StageProgress | None = None) -> ClipSet:
    """Read clips with their classes.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window.
    """
    of_clips = class_names(clips)
    names = tuple(sorted(set(of_clips)))
    places = {name: place for place, name in enumerate(names)}
    return replace(
        load_clips(clips, progress),
        names=tuple(f"{c.machine}/{c.path.name}" for c in clips),
        classes=np.array([places[name] for name in of_clips], dtype=np.int64),
        class_names=names,
    )


def class_names(clips: Sequence[Clip]) -> list[str]:
    """Return the class of each clip in words.

    An attribute that names single recordings is left out: one called `rec`, and any with more values in a section than
    half as many as the section has clips.
    """
    sections: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        sections.setdefault((clip.machine, clip.section), []).append(clip)
    attributes = {place: _shared_attributes(found) for place, found in sections.items()}
    names = []
    for clip in clips:
        values = [f"{name}={clip.attributes.get(name, '')}" for name in attributes[clip.machine, clip.section]]
        names.append(" ".join([clip.machine, clip.section, clip.domain or "source", *values]))
    return names


def _shared_attributes(clips: Iterable[Clip]) -> list[str]:
    """Attributes that distinguish a section's clips without naming each of them."""
    values: dict[str, set[str]] = {}
    count = 0
    for clip in clips:
        count += 1
        for name, value in clip.attributes.items():
            values.setdefault(name, set()).add(value)
    return sorted(n for n, seen in values.items() if n != RECORDING and len(seen) <= max(count // 2, 1))
