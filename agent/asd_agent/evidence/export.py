"""Evidence copied out of the box, checked on the way, there whole or not at all."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from asd_agent.errors import AsdError
from asd_agent.evidence.store import RECORD, Held
from asd_agent.whole_files import put, write_whole


class EvidenceError(AsdError):
    """Evidence cannot be read, is damaged, or cannot be copied."""


def export_to(one: Held, place: Path) -> Path:
    """Copy one evidence.

    Args:
        one: What is kept.
        place: A folder, in which it gets a folder of its own, or a file that ends with `.zip`.

    Returns:
        Where it lies now.

    Raises:
        EvidenceError: A file of it was altered, the place is taken, or one of both cannot be read or written.
    """
    try:
        files = {path.name: path.read_bytes() for path in sorted(one.path.iterdir())}
    except OSError as error:
        raise EvidenceError(
            f"{one.path} cannot be read ({error.strerror})", "Run this as the service's user or with sudo."
        ) from error
    _check(one, files)
    target = place if place.suffix.lower() == ".zip" else place / one.id
    if target.exists():
        raise EvidenceError(f"{target} is there already", "Choose another place or remove it.")
    try:
        if target is place:
            write_whole(target, _zip(one.id, files))
        else:
            put(target, files)
    except OSError as error:
        raise EvidenceError(
            f"{target} cannot be written ({error.strerror})", "Choose a folder with room to write to."
        ) from error
    return target


def _check(one: Held, files: dict[str, bytes]) -> None:
    if one.record is None:
        raise EvidenceError(f"{one.path / RECORD} cannot be read", f"Copy {one.path} by hand if its sound is wanted.")
    for entry in (one.record.clip, one.record.picture):
        if entry is not None and hashlib.sha256(files.get(entry.path, b"")).hexdigest() != entry.sha256:
            raise EvidenceError(
                f"{one.path / entry.path} differs from what was kept (SHA-256)",
                "It proves nothing any more; copy it by hand if its sound is wanted.",
            )


def _zip(name: str, files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # sound and picture are compressed already
        for file, data in files.items():
            archive.writestr(f"{name}/{file}", data)
    return content.getvalue()
