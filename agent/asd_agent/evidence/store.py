"""Evidence on disk: a folder for each, there whole or not at all, below a folder for each monitor."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from asd_agent.evidence.record import Record
from asd_agent.whole_files import STAGE

log = logging.getLogger(__name__)

CLIP, PICTURE, RECORD, NOTED = "clip.flac", "picture.png", "evidence.json", "acknowledged"
"""Names inside an evidence's folder; the last one is there once a person has acknowledged the alarm."""
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


def sweep_unfinished(folder: Path) -> list[Path]:
    """Remove what a killed agent left half written or half removed; returns what that was."""
    left = [path for pattern in (f"{STAGE}*", f"*/{STAGE}*") for path in sorted(folder.glob(pattern))]
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
