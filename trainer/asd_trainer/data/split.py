"""The split of a data set: the clips that a network learns from, and those held out of each fold.

Scorers and thresholds are fitted to held-out clips. Folds are computed once for a plan and stored as `split.json`.
Every job of the plan reads that file instead of looking through the data set again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from asd_agent.calibrate.condition import PROVISIONAL_BELOW
from asd_agent.errors import DataError
from asd_agent.whole_files import whole_file
from asd_trainer.data.dataset import DataSet
from asd_trainer.data.layout import Clip
from asd_trainer.settings import Settings

MANY_CLIPS = 100
"""From this many clips on, the held-out fraction serves; below it, folds by recording rotate over the members."""
LEAST_HELD_OUT = 2
"""Recordings held out of each fold, and left for training: a spread needs two."""
LEAST_RECORDINGS = 2
"""Recordings that a scorer is fitted to: it is judged by those that a fit leaves out."""
FILE = "split.json"
_SCHEMA = 1
_KEY_DIGITS = 16


class HeldOut(Settings):
    """Normal clips that no network learns from, for scorers and thresholds.

    Attributes:
        fraction: Share held out where there are clips enough.
        folds: Folds by recording where there are not.
    """

    fraction: float = Field(default=0.1, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)


def by_section(clips: Sequence[Clip], domain: str) -> dict[str, list[Clip]]:
    """Return the clips of one domain by section, sections sorted; a clip without a domain counts as source."""
    found: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: c.section):
        if (clip.domain or "source") == domain:
            found.setdefault(clip.section, []).append(clip)
    return found


def section_values(sections: Sequence[str]) -> dict[str, float]:
    """Return the scaled ID of each section, from 0 up to but not including 1.

    An integer's regression error would drown the errors of the mel bands.
    """
    return {s: i / len(sections) for i, s in enumerate(sections)}


def section_folds(clips: Sequence[Clip], settings: HeldOut, seed: int) -> tuple[frozenset[str], ...]:
    """Return the folds of one section and domain: names of clips to hold out together, whole recordings at a time.

    With many clips there is one fold. With few, fold n is for member n and begins anew after the last; the last may
    overlap the first.

    Args:
        clips: Clips of one section and domain.
        settings: Size of the folds.
        seed: Seed of the recordings' order.

    Raises:
        DataError: The recordings are too few to train on some and to fit scorers to others.
    """
    recordings = sorted({c.recording for c in clips})
    many = len(clips) >= MANY_CLIPS
    share = settings.fraction if many else 1.0 / settings.folds
    count = max(LEAST_HELD_OUT, math.ceil(share * len(recordings)))
    if len(recordings) < 2 * LEAST_HELD_OUT:
        raise DataError(
            f"{clips[0].path.parent}: {len(recordings)} normal recordings of section {clips[0].section} are too few to "
            "train a network on some and to set thresholds by others",
            f"Give at least {2 * LEAST_HELD_OUT} normal recordings of each section.",
        )
    order = np.random.default_rng([seed, len(recordings)]).permutation(len(recordings))
    count = min(count, len(recordings) - LEAST_HELD_OUT)
    folds = []
    for fold in range(1 if many else math.ceil(len(recordings) / count)):
        chosen = {recordings[i] for i in np.roll(order, -fold * count)[:count]}
        folds.append(frozenset(c.path.name for c in clips if c.recording in chosen))
    return tuple(folds)


@dataclass(frozen=True)
class DataSplit:
    """Clips of a data set by their role.

    Attributes:
        root: Root of the data set.
        settings: Size of the folds.
        seed: Seed of the folds.
        clips: Every clip of the data set.
        folds: Names of the normal training clips in each fold, by machine and by `<section>/<domain>`. Sections that
            have too few recordings are left out.
    """

    root: Path
    settings: HeldOut
    seed: int
    clips: tuple[Clip, ...]
    folds: Mapping[str, Mapping[str, tuple[frozenset[str], ...]]]

    @classmethod
    def of(cls, data: DataSet, settings: HeldOut, seed: int) -> DataSplit:
        """Split a data set."""
        folds: dict[str, dict[str, tuple[frozenset[str], ...]]] = {}
        for machine in data.machines:
            training = data.select(machine=machine, split="train", label="normal")
            found: dict[str, tuple[frozenset[str], ...]] = {}
            for domain in ("source", "target"):
                for section, own in by_section(training, domain).items():
                    # A target domain with few clips gives a location at best: networks learn it whole.
                    if domain == "source" or len(own) >= PROVISIONAL_BELOW:
                        with suppress(DataError):  # raised when somebody asks for that machine's folds
                            found[f"{section}/{domain}"] = section_folds(own, settings, seed)
            folds[machine] = found
        return cls(data.root, settings, seed, data.clips, folds)

    def training(self, machine: str | None = None) -> list[Clip]:
        """Return the normal training clips of a machine, or of all machines."""
        return [
            c
            for c in self.clips
            if (c.split, c.label) == ("train", "normal") and (machine is None or c.machine == machine)
        ]

    def testing(self, machine: str) -> list[Clip]:
        """Return the test clips of a machine whose labels are known."""
        return [c for c in self.clips if c.machine == machine and c.split == "test" and c.label is not None]

    def held_out(self, machine: str, fold: int = 0, *, both_domains: bool = False) -> frozenset[str]:
        """Return the names of a machine's clips that a network does not learn.

        Args:
            machine: Machine type.
            fold: Number of the fold; folds begin anew after the last.
            both_domains: Hold out of the target domains as well, where they have clips enough for statistics of their
                own. For networks that learn both domains.

        Raises:
            DataError: A section has too few recordings to leave some for training and some for scoring.
        """
        training = self.training(machine)
        chosen: frozenset[str] = frozenset()
        for domain in ("source", "target") if both_domains else ("source",):
            for section, own in by_section(training, domain).items():
                if domain == "target" and len(own) < PROVISIONAL_BELOW:
                    continue
                folds = self.folds.get(machine, {}).get(f"{section}/{domain}")
                if folds is None:
                    folds = section_folds(own, self.settings, self.seed)
                chosen |= folds[fold % len(folds)]
        return chosen

    def learnt_of_all(self, fold: int = 0) -> list[Clip]:
        """Return the normal training clips of every machine less those held out of each.

        A machine with too few recordings to hold some out cannot be judged. It is learnt whole, since it still tells
        other machines apart.
        """
        found: list[Clip] = []
        for machine in sorted({c.machine for c in self.clips}):
            held_out = frozenset[str]()
            with suppress(DataError):
                held_out = self.held_out(machine, fold, both_domains=True)
            found += [c for c in self.training(machine) if c.path.name not in held_out]
        return found

    @property
    def key(self) -> str:
        """Digest of the stored content."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:_KEY_DIGITS]

    def path(self, folder: Path) -> Path:
        """Return the place of the stored split below a folder, which its content decides."""
        return folder / self.key / FILE

    def store(self, folder: Path) -> Path:
        """Write the split below a folder, unless it is there."""
        path = self.path(folder)
        if not path.is_file():
            with whole_file(path) as partial:
                partial.write_text(self._text, encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path, root: Path) -> DataSplit:
        """Read a stored split.

        Args:
            path: The file.
            root: Root of the data set, which may have moved since.

        Raises:
            DataError: The file is missing, damaged or of another version.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != _SCHEMA:
                raise ValueError(f"schema {content['schema']}")  # noqa: TRY301 - reported with the others
            return cls(
                root,
                HeldOut.model_validate(content["held_out"]),
                content["seed"],
                tuple(_clip(one, root) for one in content["clips"]),
                {
                    machine: {place: tuple(frozenset(fold) for fold in folds) for place, folds in places.items()}
                    for machine, places in content["folds"].items()
                },
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is not a split of a data set: {error}", "Run the command again.") from error

    @cached_property
    def _text(self) -> str:
        content = {
            "schema": _SCHEMA,
            "held_out": self.settings.model_dump(),
            "seed": self.seed,
            "clips": [_document(clip, self.root) for clip in self.clips],
            "folds": {
                machine: {place: [sorted(fold) for fold in folds] for place, folds in places.items()}
                for machine, places in self.folds.items()
            },
        }
        return json.dumps(content, sort_keys=True) + "\n"


def _document(clip: Clip, root: Path) -> dict[str, Any]:
    """A clip in JSON's terms, with its path taken from the root."""
    return {
        "path": clip.path.relative_to(root).as_posix(),
        "machine": clip.machine,
        "section": clip.section,
        "domain": clip.domain,
        "split": clip.split,
        "label": clip.label,
        "index": clip.index,
        "attributes": dict(clip.attributes),
        "recording": clip.recording,
    }


def _clip(document: dict[str, Any], root: Path) -> Clip:
    return Clip(**{**document, "path": root / document["path"]})
