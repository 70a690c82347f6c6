"""Evidence on disk: a folder for each alarm below one for each monitor, and copies of it for use elsewhere.

A folder is there complete or not at all, whenever the power fails; a copy is checked against its digests first.
"""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from asd_agent.errors import AsdError
from asd_agent.evidence.record import EvidenceRecord
from asd_agent.whole_files import STAGE, put, write_whole

log = logging.getLogger(__name__)

CLIP, PICTURE, RECORD, ACKNOWLEDGED = "clip.flac", "picture.png", "evidence.json", "acknowledged"
"""Names inside an evidence folder; the last one is there once a person has acknowledged the alarm."""
FOLDER = "evidence"
"""Below `paths.state`."""


class EvidenceError(AsdError):
    """Evidence cannot be read, is damaged, or cannot be copied."""


@dataclass(frozen=True)
class StoredEvidence:
    """Evidence of one alarm on disk.

    Attributes:
        path: Its folder.
        bytes: Size of all its files.
        record: Its record; None where that cannot be read.
        acknowledged: A person has acknowledged the alarm.
    """

    path: Path
    bytes: int
    record: EvidenceRecord | None
    acknowledged: bool

    @property
    def id(self) -> str:
        """Identifier, which is the name of its folder."""
        return self.path.name

    @property
    def monitor(self) -> str:
        """Name of the monitor that raised the alarm."""
        return self.path.parent.name


def list_evidence(folder: Path) -> list[StoredEvidence]:
    """Return all evidence below a folder, by monitor and time."""
    found = []
    for path in sorted(folder.glob("*/*")):
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            found.append(StoredEvidence(path, folder_bytes(path), _record(path), (path / ACKNOWLEDGED).exists()))
        except OSError as error:  # removed meanwhile, or not readable for this user
            log.warning("%s cannot be read (%s)", path, error.strerror)
    return found


def find_evidence(folder: Path, monitor: str, evidence_id: str) -> StoredEvidence | None:
    """Return the evidence of one alarm; None where it is not kept.

    Args:
        folder: The folder of all evidence.
        monitor: Name of the monitor, without any path.
        evidence_id: Its id, likewise.
    """
    path = folder / monitor / evidence_id
    if path.parent.parent != folder or path.is_symlink() or not path.is_dir():
        return None
    try:
        return StoredEvidence(path, folder_bytes(path), _record(path), (path / ACKNOWLEDGED).exists())
    except OSError:  # removed meanwhile
        return None


def sweep_unfinished(folder: Path) -> list[Path]:
    """Remove folders and files that a killed agent left half written or half removed, and return their paths."""
    left = [path for pattern in (f"{STAGE}*", f"*/{STAGE}*") for path in sorted(folder.glob(pattern))]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return left


def folder_bytes(path: Path) -> int:
    """Return the size of all files of a folder together."""
    return sum(entry.stat().st_size for entry in path.iterdir())


def export_evidence(evidence: StoredEvidence, place: Path) -> Path:
    """Copy the evidence of one alarm, complete or not at all.

    Args:
        evidence: The evidence.
        place: A folder, in which it gets a folder of its own, or a file that ends with `.zip`.

    Returns:
        Path of the copy.

    Raises:
        EvidenceError: A file of it was changed, the place is taken, or one of both cannot be read or written.
    """
    files = _checked_files(evidence)
    target = place if place.suffix.lower() == ".zip" else place / evidence.id
    if target.exists():
        raise EvidenceError(f"{target} is there already", "Choose another place or remove it.")
    try:
        if target is place:
            write_whole(target, _zip(evidence.id, files))
        else:
            put(target, files)
    except OSError as error:
        raise EvidenceError(
            f"{target} cannot be written ({error.strerror})", "Choose a folder with room to write to."
        ) from error
    return target


def zip_evidence(evidence: StoredEvidence) -> bytes:
    """Return the evidence of one alarm as a zip archive.

    Raises:
        EvidenceError: A file of it was changed or cannot be read.
    """
    return _zip(evidence.id, _checked_files(evidence))


def _checked_files(evidence: StoredEvidence) -> dict[str, bytes]:
    try:
        files = {path.name: path.read_bytes() for path in sorted(evidence.path.iterdir())}
    except OSError as error:
        raise EvidenceError(
            f"{evidence.path} cannot be read ({error.strerror})", "Run this as the service's user or with sudo."
        ) from error
    _check_digests(evidence, files)
    return files


def _record(path: Path) -> EvidenceRecord | None:
    try:
        return EvidenceRecord.model_validate_json((path / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be read (%s)", path / RECORD, type(error).__name__)
        return None


def _check_digests(evidence: StoredEvidence, files: dict[str, bytes]) -> None:
    record, path = evidence.record, evidence.path
    if record is None:
        raise EvidenceError(f"{path / RECORD} cannot be read", f"Copy {path} by hand if its sound is wanted.")
    for entry in (record.clip, record.picture):
        if entry is not None and hashlib.sha256(files.get(entry.path, b"")).hexdigest() != entry.sha256:
            raise EvidenceError(
                f"{path / entry.path} differs from what was stored (SHA-256)",
                "It is no evidence any more; copy it by hand if its sound is wanted.",
            )


def _zip(name: str, files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # sound and picture are compressed already
        for file, data in files.items():
            archive.writestr(f"{name}/{file}", data)
    return content.getvalue()
