"""Files and folders that are there whole or not at all, whenever the power goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

STAGE = ".unfinished-"
"""What the names of files and folders begin with until they are whole."""


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files, whole or not at all, whenever the power goes.

    Args:
        folder: Its place, not there yet.
        files: Content by name.

    Raises:
        OSError: The disk refuses; nothing is left of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.with_name(STAGE + folder.name)
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
    stage = path.with_name(STAGE + path.name)
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
    """Take a folder away; a half of it is never seen.

    Raises:
        OSError: It cannot be removed.
    """
    gone = folder.with_name(STAGE + folder.name)
    folder.rename(gone)
    shutil.rmtree(gone)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
