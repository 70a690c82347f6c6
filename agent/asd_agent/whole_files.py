"""Files and folders that are on the disk whole or not at all, also after a power cut."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STAGE = ".unfinished-"
"""First letters of the names of files and folders that are not whole yet."""


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Create a folder with these files, whole or not at all.

    Args:
        folder: Its path, where nothing is yet.
        files: Content by name.

    Raises:
        OSError: The disk refuses; nothing of it is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.with_name(STAGE + folder.name)
    try:
        _remove_stage(stage)
        stage.mkdir()
        for name, content in files.items():
            with (stage / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(stage)
        stage.rename(folder)
        sync_folder(folder.parent)
    finally:
        _remove_stage(stage)


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield a path to write to; it becomes `path` when the block succeeds and is removed when it fails.

    Folders above `path` are made. The file is there and empty, made anew: a link that somebody put in its place is
    removed and not followed.

    Args:
        path: The file.
        mode: Its permissions, less those that the umask takes.

    Raises:
        OSError: The disk refuses; the file is as it was.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "new" / "notes.txt"
        >>> with whole_file(path) as stage:
        ...     _ = stage.write_text("all of it")
        ...     path.exists()
        False
        >>> path.read_text()
        'all of it'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stage = path.with_name(STAGE + path.name)
    try:
        _remove_stage(stage)
        os.close(os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode))
        yield stage
        with stage.open("rb") as file:
            os.fsync(file.fileno())
        stage.replace(path)
        sync_folder(path.parent)
    finally:
        stage.unlink(missing_ok=True)


def _remove_stage(stage: Path) -> None:
    """Remove what a killed writer left, or somebody else put there: a folder, a file, or a link but not its target."""
    if stage.is_dir() and not stage.is_symlink():
        shutil.rmtree(stage, ignore_errors=True)
    else:
        stage.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write or replace one file, whole or not at all.

    Raises:
        OSError: The disk refuses; the file is as it was.
    """
    with whole_file(path, mode) as stage:
        stage.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write or replace one JSON document, whole or not at all.

    Raises:
        OSError: The disk refuses; the file is as it was.
        ValueError: A number is not finite.
    """
    write_whole(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def remove(folder: Path) -> None:
    """Remove a folder; a reader sees it whole or not at all.

    Raises:
        OSError: It cannot be removed.
    """
    gone = folder.with_name(STAGE + folder.name)
    folder.rename(gone)
    shutil.rmtree(gone)


def sync_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk.

    Raises:
        OSError: It is no folder, or the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
