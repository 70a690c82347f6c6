"""Import of a bundle from outside: only the files that a bundle has, up to their largest sizes, copied byte by byte.

An archive is read with `tarfile`, but its headers are checked before `tarfile` interprets them: regular files and
folders alone, no extended header that renames or resizes a file, no compression. Nothing is extracted by name.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from asd_agent.bundle.files import (
    LIMITS,
    MEMBERS,
    BundleLimits,
    bundle_files,
    check_name,
    check_size,
    check_totals,
    is_bundle_file,
    open_regular,
)
from asd_agent.errors import BundleError
from asd_agent.whole_files import sync_folder

_SPARE_BYTES = 64 << 20
"""Bytes left free on the disk: the outbox writes there as well."""
_WRITE_PLAIN = "Write it with plain `tar -cf`."
_COPY_AGAIN = "Copy it again."
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}
"""First bytes of compressed files."""
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE)
_REFUSED = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_LONGNAME: "a name of more than 100 characters",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_MOST_EXTENDED_BYTES = 65_536
"""Size of an extended header; GNU tar writes under 200 bytes of times and owners."""
_HARMLESS = ("mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment", "SCHILY.", "LIBARCHIVE.")
"""First letters of keys of extended headers that are passed over."""


class ByteStream(Protocol):
    """A stream of bytes."""

    def read(self, count: int, /) -> bytes:
        """Return at most so many bytes more; none at the end."""


def import_bundle(source: Path, stage: Path, limits: BundleLimits = LIMITS) -> None:
    """Copy a bundle into an empty folder, every byte on the disk when it returns.

    Args:
        source: The bundle's folder, or one `.tar` of it.
        stage: Empty folder that receives it; holds a part of it after an error.
        limits: Largest sizes.

    Raises:
        BundleError: It holds anything that no bundle has, or too much, or cannot be read or written.
    """
    total = 0
    seen: set[str] = set()
    try:
        for name, size, content in _from_folder(source, limits) if source.is_dir() else _from_tar(source):
            if name in seen:
                raise BundleError(f"{source}: {name!r} is in it twice")
            seen.add(name)
            total += size
            check_size(source, name, size, limits)
            check_totals(source, len(seen), total, limits)
            _check_room(stage, size)
            _copy(content, stage / name, size)
        for folder in (*(p for p in stage.iterdir() if p.is_dir()), stage):
            folder.chmod(0o755)
            sync_folder(folder)
    except _HeaderError as error:
        raise BundleError(f"{source}: {error.what}", error.remedy) from error
    except tarfile.ReadError as error:
        raise BundleError(f"{source}: is cut off", _COPY_AGAIN) from error
    except OSError as error:
        raise BundleError(f"{source}: cannot be copied to {stage.parent} ({error.strerror})") from error


def _from_folder(source: Path, limits: BundleLimits) -> Iterator[tuple[str, int, ByteStream]]:
    for name in sorted(bundle_files(source, limits)):
        with open_regular(source / name) as stream:
            yield name, os.fstat(stream.fileno()).st_size, stream


def _from_tar(source: Path) -> Iterator[tuple[str, int, ByteStream]]:
    if not source.is_file():
        raise BundleError(f"{source}: no such folder or file", "Give a bundle's folder, or a .tar of it.")
    _refuse_compressed(source)
    top: str | None = None
    with tarfile.open(source, "r:", tarinfo=_PlainHeader, encoding="ascii", errors="strict") as archive:
        while (entry := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined] # it keeps every header; an archive may have millions
            name = _name_inside(source, entry.name)
            if entry.isdir():
                if name.count("/") > 1 or (name.count("/") == 1 and not name.endswith(f"/{MEMBERS}")):
                    raise BundleError(f"{source}: folder {entry.name!r} does not belong to a bundle")
                continue
            if top is None:
                # The archive may be of the folder (`fan/manifest.json`) or of its content (`manifest.json`).
                first, _, rest = name.partition("/")
                top = f"{first}/" if not is_bundle_file(name) and is_bundle_file(rest) else ""
            if not name.startswith(top):
                raise BundleError(f"{source}: {entry.name!r} is outside of {top!r}")
            name = name.removeprefix(top)
            check_name(source, name)
            content = archive.extractfile(entry)
            assert content is not None  # a regular file has content
            yield name, entry.size, content


def _refuse_compressed(source: Path) -> None:
    with source.open("rb") as stream:
        start = stream.read(8)
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise BundleError(f"{source}: is compressed ({name})", f"Unpack it. {_WRITE_PLAIN}")


def _name_inside(source: Path, name: str) -> str:
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or ".." in parts or "" in parts or "\\" in name:
        raise BundleError(f"{source}: {name!r} points outside")
    return "/".join(p for p in parts if p != ".")


class _HeaderError(Exception):
    """A header of an archive that is refused; without the archive's path, which a header does not know."""

    def __init__(self, what: str, remedy: str = _WRITE_PLAIN) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


class _PlainHeader(tarfile.TarInfo):
    """A header that is checked before `tarfile` interprets it."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _PlainHeader:
        """Read the next header, as `tarfile.TarInfo.fromtarfile` does.

        Raises:
            _HeaderError: It is cut off, damaged, or of anything but a regular file or folder.
        """
        stream = archive.fileobj
        assert stream is not None
        position = stream.tell()
        raw = stream.read(tarfile.BLOCKSIZE)
        if len(raw) < tarfile.BLOCKSIZE:
            raise _HeaderError("is cut off", _COPY_AGAIN)
        if any(raw):
            header = cls._checked(raw)
            if header.type in _EXTENDED:
                _check_extended(stream.read(header.size))
        stream.seek(position)
        return super().fromtarfile(archive)

    @classmethod
    def _checked(cls, raw: bytes) -> tarfile.TarInfo:
        try:
            header = cls.frombuf(raw, "ascii", "strict")
        except tarfile.HeaderError as error:
            raise _HeaderError("is no tar archive, or a damaged one") from error
        except UnicodeDecodeError as error:
            raise _HeaderError(f"holds a name that is not ASCII: {raw[:100]!r}") from error
        if header.type in _REFUSED:
            raise _HeaderError(f"{header.name!r} is {_REFUSED[header.type]}", "A bundle holds regular files alone.")
        if header.type not in (*_PLAIN, *_EXTENDED):
            raise _HeaderError(f"{header.name!r} is of unknown kind {header.type!r}")
        if header.isdir() and header.size:
            raise _HeaderError(f"folder {header.name!r} has content")
        if header.size < 0 or (header.type in _EXTENDED and header.size > _MOST_EXTENDED_BYTES):
            raise _HeaderError(f"a header gives a size of {header.size} bytes")
        return header


def _check_extended(content: bytes) -> None:
    """Refuse an extended header that sets a name, size or link; times and owners are passed over."""
    while content:
        length, space, _ = content.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 1 < int(length) <= len(content):
            raise _HeaderError("is a damaged tar archive")
        key = content[len(length) + 1 : int(length)].partition(b"=")[0].decode("ascii", "replace")
        if not key.startswith(_HARMLESS):
            raise _HeaderError(f"an extended header sets {key!r}")
        content = content[int(length) :]


def _check_room(stage: Path, size: int) -> None:
    free = shutil.disk_usage(stage).free
    if size + _SPARE_BYTES > free:
        raise BundleError(
            f"{stage.parent}: {free >> 20} MB free are too few for {size >> 20} MB and {_SPARE_BYTES >> 20} to spare",
            "Free space there.",
        )


def _copy(content: ByteStream, path: Path, size: int) -> None:
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
