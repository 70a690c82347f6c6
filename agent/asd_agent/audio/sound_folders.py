"""Files below a folder: linked folders are followed once, hidden files are set apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asd_agent.whole_files import STAGE

SUFFIXES = (".wav", ".flac")
"""Suffixes of recordings in a folder. The content of a file decides what it is, also under another suffix."""


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder.

    Attributes:
        files: Visible files and links to files, sorted.
        hidden: Files whose name or folder starts with a dot, such as `._a.wav` of macOS, sorted.
        repeated: Links to folders that were read already, or that contain the folder itself, sorted.
        closed: Folders that cannot be listed, with the reason.
    """

    files: tuple[Path, ...]
    hidden: tuple[Path, ...]
    repeated: tuple[Path, ...]
    closed: tuple[tuple[Path, str], ...] = ()


def folder_files(root: Path) -> FolderFiles:
    """List the files below a folder.

    A link to a folder is followed after all plain folders, and each folder is read once. Links cannot form a loop,
    and a folder beside a link to it keeps its own name.
    """
    files: list[Path] = []
    hidden: list[Path] = []
    repeated: list[Path] = []
    closed: list[OSError] = []
    home = root.resolve()
    seen = {home}
    waiting = [root]
    while waiting:
        links: list[Path] = []
        for folder in waiting:
            for path in _walk(folder, seen, links, closed):
                if path.name.startswith(STAGE):
                    continue  # a file that a kill left unfinished
                below = path.relative_to(root).parts
                (hidden if any(part.startswith(".") for part in below) else files).append(path)
        waiting = []
        for link in sorted(links):
            target = link.resolve()
            if target in seen or home.is_relative_to(target):
                repeated.append(link)
            else:
                seen.add(target)
                waiting.append(link)
    return FolderFiles(tuple(sorted(files)), tuple(sorted(hidden)), tuple(repeated), _reasons(closed))


def is_recording(path: Path) -> bool:
    """Return true for a visible file with the suffix of a recording."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _reasons(errors: list[OSError]) -> tuple[tuple[Path, str], ...]:
    return tuple((Path(error.filename), error.strerror or type(error).__name__) for error in errors)


def _walk(top: Path, seen: set[Path], links: list[Path], closed: list[OSError]) -> Iterator[Path]:
    """Yield the files below a folder without following links; add links and errors to their lists."""
    for place, folders, names in os.walk(top, onerror=closed.append):
        here = Path(place)
        links += [here / name for name in folders if (here / name).is_symlink()]
        seen.update((here / name).resolve() for name in folders if not (here / name).is_symlink())
        yield from (here / name for name in names)
