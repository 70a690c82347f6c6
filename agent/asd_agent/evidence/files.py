"""Evidence on disk: a folder for each, there whole or not at all, below a folder for each monitor."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from asd_agent.evidence.record import Record

log = logging.getLogger(__name__)

CLIP, PICTURE, RECORD, NOTED = "clip.flac", "picture.png", "evidence.json", "acknowledged"
"""Names inside an evidence's folder; the last one is there once a person has acknowledged the alarm."""
_STAGE = ".unfinished-"
FOLDER = "evidence"
"""Below `paths.state`."""


@dataclass(frozen=True)
class Held:
    """An evidence as it lies on disk.

    Attributes:
        path: Its folder.
        bytes: Of all its files.
        record: Its account; None where that cannot be read.
        acknowledged: Whether a person has acknowledged the alarm.
    """

    path: Path
    bytes: int
    record: Record | None
    acknowledged: bool

    @property
    def id(self) -> str:
        """Its id, which is its folder's name."""
        return self.path.name

    @property
    def monitor(self) -> str:
        """Whose it is."""
        return self.path.parent.name


def held(folder: Path) -> list[Held]:
    """Everything that is kept below the folder of evidence, by monitor and time."""
    found = []
    for path in sorted(folder.glob("*/*")):
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            found.append(Held(path, folder_bytes(path), _record(path), (path / NOTED).exists()))
        except OSError as error:  # removed meanwhile, or not ours to read
            log.warning("%s cannot be read (%s)", path, error.strerror)
    return found


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make an evidence's folder with these files, whole or not at all, whenever the power goes.

    Args:
        folder: Its place, not there yet.
        files: Content by name.

    Raises:
        OSError: The disk refuses; nothing is left of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.with_name(_STAGE + folder.name)
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir()
        for name, content in files.items():
            with (stage / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(stage)
        stage.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write or replace one file, whole or not at all.

    Raises:
        OSError: The disk refuses; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stage = path.with_name(_STAGE + path.name)
    try:
        with stage.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        stage.replace(path)
        _sync(path.parent)
    finally:
        stage.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Take an evidence away; a half of it is never seen.

    Raises:
        OSError: It cannot be removed.
    """
    gone = folder.with_name(_STAGE + folder.name)
    folder.rename(gone)
    shutil.rmtree(gone)


def sweep_unfinished(folder: Path) -> list[Path]:
    """Remove what a killed agent left half written or half removed; returns what that was."""
    left = [path for pattern in (f"{_STAGE}*", f"*/{_STAGE}*") for path in sorted(folder.glob(pattern))]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return left


def folder_bytes(path: Path) -> int:
    """Length of all files of a folder together."""
    return sum(entry.stat().st_size for entry in path.iterdir())


def _record(path: Path) -> Record | None:
    try:
        return Record.model_validate_json((path / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be read (%s)", path / RECORD, type(error).__name__)
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
