"""Inspection of a data set: its content, what it permits, and every problem of its files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asd_agent.audio.sound_folders import SUFFIXES, folder_files
from asd_agent.parallel import in_order
from asd_trainer.data.clips import WINDOW_SECONDS
from asd_trainer.data.dataset import DataSet, Problem, scan
from asd_trainer.data.file_check import BROKEN, FileCheck, check_file
from asd_trainer.data.layout import Clip, Domain, Label, Split
from asd_trainer.data.permits import permits
from asd_trainer.data.split import LEAST_RECORDINGS, by_section
from asd_trainer.engine.progress import StageProgress
from asd_trainer.text import counted

OTHER_FORMATS = frozenset({".aac", ".aif", ".aiff", ".caf", ".m4a", ".mp3", ".ogg", ".opus", ".wma"})
"""Suffixes of sound that is not read: compression may remove just what shows a fault."""
LONG_SECONDS = 12.0
"""Length of the longest clip in the official data sets; longer clips are noted."""
_GROUPED_ABOVE = 10
"""Most files of a folder with the same kind of warning that get a line each; more share one line."""


@dataclass(frozen=True)
class Group:
    """Clips of one machine, section, domain, split and label.

    Attributes:
        machine: Machine type.
        split: Training, test or supplemental.
        section: Two digits.
        domain: Domain, None where it is unknown.
        label: Label, None where it is unknown.
        clips: Number of clips.
        broken: Number of clips that cannot be used.
        recordings: Number of recordings that they come from.
        seconds: Length of all readable clips in s.
        rates: Sampling rates in Hz.
        attributes: Values by name of the attribute, sorted.
    """

    machine: str
    split: Split
    section: str
    domain: Domain | None
    label: Label | None
    clips: int
    broken: int
    recordings: int
    seconds: float
    rates: tuple[int, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class InspectionReport:
    """Inspection of a data set.

    Attributes:
        root: Folder of the data set.
        groups: Groups of clips, in the order of the clips.
        permits: Sentences about what the clips permit.
        problems: Problems by file, those that stop training or scoring first.
        unfit: Machines that nothing can be fitted to.
    """

    root: Path
    groups: tuple[Group, ...]
    permits: tuple[str, ...]
    problems: tuple[Problem, ...]
    unfit: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if every file can be used and something can be fitted to every machine."""
        return not self.broken and not self.unfit

    @property
    def broken(self) -> list[Problem]:
        """Problems that stop training or scoring."""
        return [p for p in self.problems if p.kind in BROKEN]

    def document(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "schema": 1,
            "data": str(self.root),
            "ok": self.ok,
            "groups": [{**vars(g), "seconds": round(g.seconds, 3)} for g in self.groups],
            "permits": list(self.permits),
            "unfit": list(self.unfit),
            "problems": [
                {
                    "path": str(p.path),
                    "kind": p.kind,
                    "broken": p.kind in BROKEN,
                    "text": p.text,
                    "remedy": p.remedy,
                }
                for p in self.problems
            ],
        }


def inspect(root: Path, progress: StageProgress | None = None) -> InspectionReport:
    """Open every clip of a data set and check it.

    Args:
        root: Folder that has a folder for each machine.
        progress: Called for each file.

    Raises:
        DataError: The folder does not exist or has no clip.
    """
    data = scan(root)
    checks: list[FileCheck] = []
    for done, check in enumerate(in_order(check_file, (clip.path for clip in data.clips)), 1):
        checks.append(check)
        if progress:
            progress("clips opened", done, len(data.clips))
    problems = [
        *(p for one in checks for p in one.problems),
        *_duplicates(data.clips, checks),
        *_mislabelled(data.clips),
        *_unseen(root),
        *data.problems,
    ]
    usable = [clip for clip, one in zip(data.clips, checks, strict=True) if one.usable]
    sentences = (*permits(data.machines, usable), *_long(data, checks))
    problems.sort(key=lambda p: (p.kind not in BROKEN, p.path))
    unfit = tuple(m for m in data.machines if not _can_be_fitted([c for c in usable if c.machine == m]))
    return InspectionReport(root, tuple(_groups(data.clips, checks)), sentences, tuple(problems), unfit)


def grouped(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems for people: one line where more than a few files of a folder have the same kind of problem."""
    alike: dict[tuple[Path, str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        # Damage is named file by file, since each has to be replaced.
        single = problem.kind in BROKEN - {"too_short"}
        alike[problem.path if single else problem.path.parent, problem.kind, problem.remedy].append(problem)
    shown: list[Problem] = []
    for (folder, kind, remedy), found in alike.items():
        if len(found) <= _GROUPED_ABOVE:
            shown += found
        elif len({p.text for p in found}) == 1:
            shown.append(Problem(folder, kind, f"each of {len(found)} files {found[0].text}", remedy))
        else:
            shown.append(
                Problem(folder, kind, f"{len(found)} files, such as {found[0].path.name}: {found[0].text}", remedy)
            )
    return shown


def _can_be_fitted(clips: Sequence[Clip]) -> bool:
    """Return True if some section of a machine has enough normal recordings of the source domain."""
    training = [c for c in clips if c.split == "train" and c.label == "normal"]
    return any(len({c.recording for c in own}) >= LEAST_RECORDINGS for own in by_section(training, "source").values())


def _duplicates(clips: Sequence[Clip], checks: Sequence[FileCheck]) -> Iterator[Problem]:
    first: dict[str, Clip] = {}
    for clip, one in zip(clips, checks, strict=True):
        if not one.digest:
            continue
        other = first.setdefault(one.digest, clip)
        if other is not clip:
            crosses = "train" in (clip.split, other.split) and clip.split != other.split
            remedy = (
                "A test clip in the training set makes its score meaningless: remove one." if crosses else "Remove one."
            )
            yield Problem(clip.path, "duplicate", f"has the same content as {other.path}", remedy)


def _mislabelled(clips: Sequence[Clip]) -> Iterator[Problem]:
    for clip in clips:
        if clip.split == "train" and clip.label == "anomaly":
            text = "is anomalous but among the training clips, and is not trained on"
            yield Problem(clip.path, "mislabelled", text, "Move it to the test clips.")


def _unseen(root: Path) -> Iterator[Problem]:
    """Yield sound files that are no clips: broken links, and formats that are not read."""
    for path in folder_files(root).files:
        suffix = path.suffix.lower()
        if suffix in SUFFIXES and not path.exists():
            yield Problem(path, "unreadable", "is a link to a file that does not exist", "Copy the file itself.")
        elif suffix in OTHER_FORMATS:
            yield Problem(path, "format", f"is {suffix} sound, which is not read", "Give wav or flac.")


def _long(data: DataSet, checks: Sequence[FileCheck]) -> Iterator[str]:
    long = Counter(c.machine for c, one in zip(data.clips, checks, strict=True) if one.seconds > LONG_SECONDS)
    for machine, count in sorted(long.items()):
        yield (
            f"{machine}: {counted(count, 'clip')} longer than {LONG_SECONDS:g} s: scored in windows; training takes "
            f"the first {WINDOW_SECONDS:g} s of each (`asd-trainer import` cuts long recordings into clips)"
        )


def _groups(clips: Sequence[Clip], checks: Sequence[FileCheck]) -> Iterator[Group]:
    groups: dict[tuple[str, Split, str, Domain | None, Label | None], list[tuple[Clip, FileCheck]]] = {}
    for clip, one in zip(clips, checks, strict=True):
        key = clip.machine, clip.split, clip.section, clip.domain, clip.label
        groups.setdefault(key, []).append((clip, one))
    for key, found in groups.items():
        values: dict[str, set[str]] = defaultdict(set)
        for clip, _ in found:
            for name, value in clip.attributes.items():
                values[name].add(value)
        yield Group(
            *key,
            clips=len(found),
            broken=sum(not one.usable for _, one in found),
            recordings=len({clip.recording for clip, _ in found}),
            seconds=sum(one.seconds for _, one in found),
            rates=tuple(sorted({one.rate for _, one in found if one.rate})),
            attributes={name: tuple(sorted(v)) for name, v in sorted(values.items())},
        )
