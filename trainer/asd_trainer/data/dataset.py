"""Data set on disk: clips by the attributes in their names, and files whose names state none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.audio.sound_folders import SUFFIXES, FolderFiles, folder_files
from asd_agent.errors import DataError
from asd_trainer.data.layout import (
    Clip,
    Domain,
    Label,
    Split,
    attribute_files,
    attributes_of,
    hold_out_for_test,
    parse,
    with_attributes,
    without_copies,
)
from asd_trainer.text import counted

_OFFICIAL = "Name it as in DCASE Task 2, such as fan/train/section_00_source_train_normal_0000.wav."


@dataclass(frozen=True)
class Problem:
    """Something wrong with one file.

    Attributes:
        path: The file.
        kind: One word for programs.
        text: What is wrong.
        remedy: What would be right.
    """

    path: Path
    kind: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" + (f". {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class DataSet:
    """Clips below a folder.

    Attributes:
        root: The folder.
        clips: In the order of machine, split, section, domain, label and number.
        problems: Audio files whose names cannot be read.
    """

    root: Path
    clips: tuple[Clip, ...]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def machines(self) -> list[str]:
        """Machine types, sorted."""
        return sorted({c.machine for c in self.clips})

    def select(
        self,
        *,
        machine: str | None = None,
        section: str | None = None,
        domain: Domain | None = None,
        split: Split | None = None,
        label: Label | None = None,
    ) -> list[Clip]:
        """The clips that fit everything that is given."""
        wanted = {"machine": machine, "section": section, "domain": domain, "split": split, "label": label}
        asked = {k: v for k, v in wanted.items() if v is not None}
        return [c for c in self.clips if all(getattr(c, k) == v for k, v in asked.items())]


def scan(root: Path) -> DataSet:
    """Read the names below a folder; the files themselves are opened by `inspect` and by training.

    Raises:
        DataError: There is no such folder, or no clip in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder", "Give the folder that holds a folder for each machine.")
    clips: list[Clip] = []
    problems: list[Problem] = []
    found = folder_files(root)
    attributes = attribute_files(found.files)
    for path in (p for p in found.files if p.suffix.lower() in SUFFIXES and p.is_file()):
        clip = parse(path)
        if clip is None:
            problems.append(
                Problem(path, "misnamed", "neither its name nor its folder follows a known layout", _OFFICIAL)
            )
        else:
            clips.append(with_attributes(clip, attributes_of(path, attributes)))
    if not clips:
        raise DataError(f"{root}: holds no clips in a known layout", _OFFICIAL)
    clips, copies = without_copies(clips)
    problems += _left_out(found, copies)
    clips = list(hold_out_for_test(clips))
    clips.sort(key=lambda c: (c.machine, c.split, c.section, c.domain or "", c.label or "", c.index, c.path.name))
    return DataSet(root, tuple(clips), tuple(problems))


def _left_out(found: FolderFiles, copies: Sequence[Clip]) -> Iterator[Problem]:
    """Yield one problem for each kind of file that is left out on purpose."""
    hidden = [path for path in found.hidden if path.suffix.lower() in SUFFIXES]
    if hidden:
        text = f"is left out: {counted(len(hidden), 'hidden sound file')} in all"
        yield Problem(hidden[0], "hidden", text, "Names that start with a dot are no clips; remove or rename them.")
    if copies:
        text = f"is left out: {counted(len(copies), 'copy', 'copies')} in all of clips that another folder has"
        yield Problem(copies[0].path, "copy", text)
    for folder, reason in found.closed:
        yield Problem(folder, "unreadable", f"cannot be listed ({reason})", "See its permissions.")
    for link in found.repeated:
        yield Problem(link, "link", "links to a folder that is read already, and is left out")


def labelled_clips(data: DataSet, machine: str) -> list[Clip]:
    """Return the test clips of a machine whose labels are known."""
    return [c for c in data.select(machine=machine, split="test") if c.label is not None]
