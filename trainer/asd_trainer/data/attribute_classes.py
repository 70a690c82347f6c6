"""Classes of normal sound: machine × section × domain × attributes, for a network that tells them apart.

A class of one or two clips cannot be learnt, only remembered. Attributes are therefore admitted jointly, while their
product leaves `CLIPS_A_CLASS` clips a class on average, and numbers are grouped by quantiles where that is what it
takes. Clips of one section and domain that no attribute distinguishes are grouped by their sound (Ward 1963).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_trainer.data.clips import ClipSet, load_clips
from asd_trainer.data.layout import Clip
from asd_trainer.engine.progress import StageProgress

RECORDING = "rec"
"""Attribute that names single recordings in the layout that `asd-trainer import` writes."""
CLIPS_A_CLASS = 8
"""Clips a class on average, at least, for an attribute to be admitted."""
FEW = 4
"""A class with fewer clips is worth a warning."""
MOST_GROUPS = 8
"""Groups that clips without attributes are clustered into, at most; each has twice `CLIPS_A_CLASS` on average."""
_BINS = (4, 3, 2)
"""Numbers of quantile groups that are tried for a number with too many values, the most first."""
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)[A-Za-z%]*\Z")
_SPEC = FeatureSpec(n_fft=1024, hop_length=1024, n_mels=64)
"""Front end of the statistics that are clustered: coarse, since only classes follow from them."""


@dataclass(frozen=True)
class _Place:
    """Machine, section and domain."""

    machine: str
    section: str
    domain: str

    def __str__(self) -> str:
        return f"{self.machine} {self.section} {self.domain}"


def load_classes(clips: Sequence[Clip], progress: StageProgress | None = None) -> ClipSet:
    """Read clips with their classes.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window.
    """
    loaded = load_clips(clips, progress)
    of_clips = class_names(clips)
    for rows in _without_attributes(clips):
        for row, group in zip(rows, _groups_by_sound(loaded, rows), strict=True):
            of_clips[row] += f" group={group}"
    names = tuple(sorted(set(of_clips)))
    places = {name: place for place, name in enumerate(names)}
    return replace(
        loaded,
        names=tuple(f"{c.machine}/{c.path.name}" for c in clips),
        classes=np.array([places[name] for name in of_clips], dtype=np.int64),
        class_names=names,
    )


def class_names(clips: Sequence[Clip]) -> list[str]:
    """Return the class of each clip in words, by its attributes alone.

    An attribute that names single recordings is left out: one called `rec`, and any with more values among the clips of
    a section and domain than half as many as these are.
    """
    names = [""] * len(clips)
    for place, rows in _by_place(clips).items():
        labels = _joint_labels([clips[row] for row in rows])
        for row, label in zip(rows, labels, strict=True):
            names[row] = f"{place} {label}".rstrip()
    return names


def class_counts(clips: ClipSet) -> dict[str, int]:
    """Return the number of clips of each class, by its name."""
    counts = np.bincount(clips.classes, minlength=len(clips.class_names))
    return {name: int(count) for name, count in zip(clips.class_names, counts, strict=True)}


def few_clips(counts: Mapping[str, int]) -> str | None:
    """Return a warning about classes with fewer clips than can be learnt; None where there are none.

    The target domain of a few clips is left out of it: nobody can give it more classes or fewer.
    """
    few = [name for name, count in counts.items() if count < FEW and name.split()[2] != "target"]
    if not few:
        return None
    shown = ", ".join(few[:3]) + (", …" if len(few) > 3 else "")
    return f"{len(few)} of {len(counts)} classes have fewer than {FEW} clips and are learnt by heart: {shown}"


def groups_by_sound(clips: Sequence[Clip]) -> int:
    """Return the number of groups by sound that will be formed of clips, over all sections and domains."""
    return sum(_group_count(len(rows)) for rows in _without_attributes(clips))


def _by_place(clips: Sequence[Clip]) -> dict[_Place, list[int]]:
    found: dict[_Place, list[int]] = {}
    for row, clip in enumerate(clips):
        found.setdefault(_Place(clip.machine, clip.section, clip.domain or "source"), []).append(row)
    return found


def _without_attributes(clips: Sequence[Clip]) -> list[list[int]]:
    """Rows of each section and domain that no attribute distinguishes and that are enough to be grouped."""
    return [
        rows
        for rows in _by_place(clips).values()
        if _group_count(len(rows)) > 1 and not _attributes([clips[row] for row in rows])
    ]


def _attributes(clips: Sequence[Clip]) -> dict[str, list[str]]:
    """Values of each attribute that distinguishes some clips without naming each of them, by its name."""
    found = {}
    for name in sorted({name for clip in clips for name in clip.attributes}):
        values = [clip.attributes.get(name, "") for clip in clips]
        is_number = all(_NUMBER.match(value) for value in values)
        if name != RECORDING and len(set(values)) > 1 and (is_number or len(set(values)) <= max(len(clips) // 2, 1)):
            found[name] = values
    return found


def _joint_labels(clips: Sequence[Clip]) -> list[str]:
    """Label of each clip of one section and domain, from the attributes that are admitted together.

    Those with the fewest values come first. One that would leave too few clips a class is tried in quantile groups,
    where its values are numbers, and else left out.
    """
    labels = [""] * len(clips)
    attributes = _attributes(clips)
    for name in sorted(attributes, key=lambda name: (len(set(attributes[name])), name)):
        values = attributes[name]
        for candidate in (values, *(_binned(values, bins) for bins in _BINS)):
            joint = [f"{label} {name}={value}".strip() for label, value in zip(labels, candidate, strict=True)]
            if len(clips) >= CLIPS_A_CLASS * len(set(joint)):
                labels = joint
                break
            if not all(_NUMBER.match(value) for value in values):
                break
    return labels


def _binned(values: Sequence[str], bins: int) -> list[str]:
    """Numbers in groups of about equally many, each under the name of its range; unchanged where one is no number."""
    numbers = [match for value in values if (match := _NUMBER.match(value))]
    if len(numbers) < len(values):
        return list(values)
    x = np.array([float(match[1]) for match in numbers])
    inner = np.quantile(x, np.arange(1, bins) / bins)
    group = np.searchsorted(inner, x, side="left")
    ranges = {g: f"{x[group == g].min():g}..{x[group == g].max():g}" for g in set(group.tolist())}
    return [ranges[g] for g in group.tolist()]


def _group_count(clips: int) -> int:
    return min(MOST_GROUPS, clips // (2 * CLIPS_A_CLASS))


def _groups_by_sound(clips: ClipSet, rows: Sequence[int]) -> npt.NDArray[np.intp]:
    """Group of each clip by mean and spread of its log-mels, by Ward's hierarchical clustering; shape (rows,)."""
    from sklearn.cluster import AgglomerativeClustering

    spectra = [log_mel(clips.floats(row), _SPEC) for row in rows]
    statistics = np.stack([np.concatenate([s.mean(axis=0), s.std(axis=0)]) for s in spectra])
    spread = statistics.std(axis=0)
    found = AgglomerativeClustering(_group_count(len(rows)), linkage="ward").fit_predict(
        (statistics - statistics.mean(axis=0)) / np.maximum(spread, 1e-6)
    )
    # Numbered by size, so that the numbers do not depend on the library's order.
    order = [group for group, _ in Counter(found.tolist()).most_common()]
    return np.array([order.index(group) for group in found.tolist()])
