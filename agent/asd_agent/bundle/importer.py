"""Taking in a bundle that comes from outside: only the files a bundle has, only so large, each copied byte by byte."""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asd_agent.bundle.bundle import GOLDEN, MANIFEST, SCORERS
from asd_agent.bundle.tar import entries
from asd_agent.errors import BundleError

_MEMBER = re.compile(r"members/[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}\.onnx\Z")
_SPARE_BYTES = 64 << 20
"""Left free on the disk: the outbox writes there as well."""


@dataclass(frozen=True)
class ImportLimits:
    """How much a bundle may hold.

    Attributes:
        files: In number.
        file_bytes: Of one file, and of one file's arrays unpacked.
        all_bytes: Of all files.
        manifest_bytes: Of manifest.json.
    """

    files: int = 1000
    file_bytes: int = 1 << 30
    all_bytes: int = 4 << 30
    manifest_bytes: int = 16 << 20


class Reader(Protocol):
    """Anything with bytes in it."""

    def read(self, count: int, /) -> bytes:
        """At most so many bytes more; none at its end."""


def import_bundle(source: Path, stage: Path, caps: ImportLimits | None = None) -> None:
    """Copy a bundle into an empty folder, every byte on the disk when it returns.

    Args:
        source: Its folder, or one `.tar` of it.
        stage: Where to; may hold a part after an error.
        caps: How much it may hold.

    Raises:
        BundleError: It holds anything that a bundle does not, or too much, or cannot be read or written.
    """
    caps, total = caps or ImportLimits(), 0
    seen: set[str] = set()
    try:
        for name, size, content in _from_folder(source) if source.is_dir() else _from_tar(source):
            if name in seen:
                raise BundleError(f"{source}: {name!r} stands in it twice")
            seen.add(name)
            total += size
            _check_size(source, name, size, total, len(seen), caps)
            _check_room(stage, size)
            _copy(content, stage / name, size)
        for folder in (*(p for p in stage.iterdir() if p.is_dir()), stage):
            folder.chmod(0o755)
            sync_folder(folder)
    except OSError as error:
        raise BundleError(f"{source}: cannot be copied to {stage.parent} ({error.strerror})") from error
    for name in sorted(seen & {SCORERS, GOLDEN}):
        _check_arrays(source, stage / name, caps)


def allowed(name: str) -> bool:
    """Whether a bundle may hold a file of this name."""
    return name in (MANIFEST, SCORERS, GOLDEN) or _MEMBER.match(name) is not None


def sync_folder(folder: Path) -> None:
    """Have a folder's list of names on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _from_folder(source: Path) -> Iterator[tuple[str, int, Reader]]:
    for folder, folders, files in os.walk(source):
        here = Path(folder)
        for name in folders:
            if (here / name).is_symlink():
                raise BundleError(f"{here / name}: is a link", "A bundle holds regular files alone.")
        for name in sorted(files):
            path = here / name
            inside = path.relative_to(source).as_posix()
            _check_name(source, inside)
            try:
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise BundleError(f"{path}: is a link or cannot be read ({error.strerror})") from error
            with os.fdopen(handle, "rb") as stream:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise BundleError(f"{path}: is no regular file", "A bundle holds regular files alone.")
                yield inside, status.st_size, stream


def _from_tar(source: Path) -> Iterator[tuple[str, int, Reader]]:
    if not source.is_file():
        raise BundleError(f"{source}: no such folder or file", "Give a bundle's folder, or a .tar of it.")
    top: str | None = None
    for entry, content in entries(source):
        parts = entry.name.rstrip("/").split("/")
        if entry.name.startswith("/") or ".." in parts or "" in parts or "\\" in entry.name:
            raise BundleError(f"{source}: {entry.name!r} points outside")
        name = "/".join(p for p in parts if p != ".")
        if entry.is_folder:
            if name.count("/") > 1 or (name.count("/") == 1 and not name.endswith("/members")):
                raise BundleError(f"{source}: folder {entry.name!r} does not belong to a bundle")
            continue
        if top is None:
            # The archive may be of the folder (`fan/manifest.json`) or of what is in it (`manifest.json`).
            first, _, rest = name.partition("/")
            top = f"{first}/" if not allowed(name) and allowed(rest) else ""
        if not name.startswith(top):
            raise BundleError(f"{source}: {entry.name!r} lies outside of {top!r}")
        name = name.removeprefix(top)
        _check_name(source, name)
        yield name, entry.size, content


def _check_name(source: Path, name: str) -> None:
    if not allowed(name):
        remedy = f"A bundle holds {MANIFEST}, {SCORERS}, {GOLDEN} and members/*.onnx."
        raise BundleError(f"{source}: {name!r} does not belong to a bundle", remedy)


def _check_size(source: Path, name: str, size: int, total: int, count: int, caps: ImportLimits) -> None:
    most = caps.manifest_bytes if name == MANIFEST else caps.file_bytes
    if size > most:
        raise BundleError(f"{source}: {name!r} of {size} bytes is larger than {most}")
    if total > caps.all_bytes or count > caps.files:
        raise BundleError(f"{source}: holds more than {caps.all_bytes} bytes or {caps.files} files")


def _check_room(stage: Path, size: int) -> None:
    free = shutil.disk_usage(stage).free
    if size + _SPARE_BYTES > free:
        raise BundleError(
            f"{stage.parent}: {free >> 20} MB free are too few for {size >> 20} MB and {_SPARE_BYTES >> 20} to spare",
            "Make room there.",
        )


def _copy(content: Reader, path: Path, size: int) -> None:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as stream:
        left = size
        while left and (block := content.read(min(left, 1 << 20))):
            stream.write(block)
            left -= len(block)
        if left or content.read(1):
            raise BundleError(f"{path.name}: changed while it was copied", "Wait until it is whole.")
        os.fchmod(handle, 0o644)
        stream.flush()
        os.fsync(handle)


def _check_arrays(source: Path, path: Path, caps: ImportLimits) -> None:
    """A few kilobytes of zeros, packed, may fill the memory when they are unpacked."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            size = sum(info.file_size for info in packed.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BundleError(f"{source}: {path.name} is no file of arrays") from error
    if len(set(names)) < len(names) or not all(n.endswith(".npy") for n in names):
        raise BundleError(f"{source}: {path.name} holds something else than arrays")
    if size > caps.file_bytes:
        raise BundleError(f"{source}: {path.name} unpacks to {size} bytes, more than {caps.file_bytes}")
