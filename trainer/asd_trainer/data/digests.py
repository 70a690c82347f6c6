"""Digests of sets of clips; a file is read again only when its size or time of change differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from asd_agent.bundle.files import file_digest
from asd_agent.whole_files import write_json
from asd_trainer.data.layout import Clip
from asd_trainer.engine.progress import StageProgress

REMEMBERED = "digests.json"


class Digests:
    """Digests of files, stored from call to call.

    Args:
        folder: Folder of digests.json, in which they are stored; None stores nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / REMEMBERED
        self._known: dict[str, list[int | str]] = {}
        self._grown = False
        if self._path is not None and self._path.is_file():
            try:
                self._known = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except ValueError:  # only a cache: lost digests are computed again
                self._known = {}

    def of(self, clips: Iterable[Clip], root: Path, progress: StageProgress | None = None) -> str:
        """Return the SHA-256 over names, recordings and contents of clips, in the order of their names.

        Args:
            clips: The clips.
            root: Folder that names are relative to, so that a moved data set has the same digest.
            progress: Called for each clip.
        """
        root = root.resolve()
        digest = hashlib.sha256()
        ordered = sorted(clips, key=lambda c: c.path)
        for index, clip in enumerate(ordered):
            path = clip.path.resolve()
            name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
            digest.update(f"{name}\0{clip.recording}\0{self._file(path)}\n".encode())
            if progress:
                progress("digests of clips", index + 1, len(ordered))
        return digest.hexdigest()

    def of_files(self, paths: Iterable[Path], root: Path) -> str:
        """Return the SHA-256 over the names, relative to `root`, and contents of files."""
        digest = hashlib.sha256()
        for path in sorted(p.resolve() for p in paths):
            digest.update(f"{path.relative_to(root.resolve()).as_posix()}\0{self._file(path)}\n".encode())
        return digest.hexdigest()

    def remember(self) -> None:
        """Store new digests."""
        if self._path is not None and self._grown:
            with suppress(FileNotFoundError):  # another process may write its own at the same time
                write_json(self._path, self._known)
            self._grown = False

    def _file(self, path: Path) -> str:
        found = path.stat()
        stamp: list[int | str] = [found.st_size, found.st_mtime_ns]
        known = self._known.get(str(path))
        if known is None or known[:2] != stamp:
            known = self._known[str(path)] = [*stamp, file_digest(path)]
            self._grown = True
        return str(known[2])
