"""The plain part of the tar format (POSIX.1-1988 ustar), read strictly: regular files and folders, nothing else.

An archive comes from outside. What needs more than this part (links, devices, sparse files, names over 100 characters,
compression) is refused by name and not interpreted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from asd_agent.errors import BundleError

BLOCK = 512
MOST_PAX_BYTES = 65_536
_REFUSED = {
    b"1": "a hard link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"L": "a name of more than 100 characters",
    b"K": "a link",
    b"S": "a sparse file",
}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}
_HARMLESS_PAX = ("mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment", "SCHILY.", "LIBARCHIVE.")


@dataclass(frozen=True)
class Entry:
    """A file or folder of an archive.

    Attributes:
        name: As written, `/` between parts.
        size: Bytes; 0 for a folder.
        is_folder: Whether it is one.
    """

    name: str
    size: int
    is_folder: bool


class Content:
    """The bytes of one file, to be read before the next entry is asked for."""

    def __init__(self, stream: BinaryIO, size: int, where: str) -> None:
        self._stream, self._left, self._where = stream, size, where

    def read(self, count: int) -> bytes:
        """At most `count` bytes more; none at its end.

        Raises:
            BundleError: The archive ends before.
        """
        wanted = min(count, self._left)
        block = self._stream.read(wanted)
        if len(block) < wanted:
            raise BundleError(f"{self._where} is cut off", "Copy it again.")
        self._left -= wanted
        return block


def entries(path: Path) -> Iterator[tuple[Entry, Content]]:
    """Every file and folder of an archive in turn.

    Raises:
        BundleError: It cannot be read, is cut off, or holds anything else.
    """
    try:
        with path.open("rb") as stream:
            yield from _entries(stream, str(path))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error


def _entries(stream: BinaryIO, where: str) -> Iterator[tuple[Entry, Content]]:
    first = True
    while True:
        header = stream.read(BLOCK)
        if first:
            _refuse_compressed(header, where)
            first = False
        if len(header) < BLOCK:
            raise BundleError(f"{where} is cut off", "Copy it again.")
        if not any(header):
            return
        kind, size = header[156:157], _number(header[124:136], where)
        _check_sum(header, where)
        content = Content(stream, size, where)
        if kind in (b"x", b"g"):
            _check_pax(content, size, where)
        else:
            name = _text(header[:100], where)
            if header[257:263] == b"ustar\0" and header[345]:
                name = f"{_text(header[345:500], where)}/{name}"
            if kind in _REFUSED:
                raise BundleError(f"{where}: {name!r} is {_REFUSED[kind]}", "A bundle holds regular files alone.")
            if kind not in (b"0", b"\0", b"5"):
                raise BundleError(f"{where}: {name!r} is of unknown kind {kind!r}", "Write it with plain `tar -cf`.")
            is_folder = kind == b"5" or name.endswith("/")
            if is_folder and size:
                raise BundleError(f"{where}: folder {name!r} has content")
            yield Entry(name, size, is_folder), content
        while content.read(1 << 20):
            pass
        padding = -size % BLOCK
        if len(stream.read(padding)) < padding:
            raise BundleError(f"{where} is cut off", "Copy it again.")


def _refuse_compressed(start: bytes, where: str) -> None:
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise BundleError(f"{where}: is compressed ({name})", "Unpack it, or write it with plain `tar -cf`.")


def _number(field: bytes, where: str) -> int:
    digits = field.strip(b" \0")
    if not digits or not set(digits) <= set(b"01234567"):
        raise BundleError(f"{where}: is no tar archive, or a damaged one", "Write it with plain `tar -cf`.")
    return int(digits, 8)


def _check_sum(header: bytes, where: str) -> None:
    wanted = _number(header[148:156], where)
    if sum(header[:148]) + 8 * 0x20 + sum(header[156:]) != wanted:
        raise BundleError(f"{where}: is no tar archive, or a damaged one", "Write it with plain `tar -cf`.")


def _text(field: bytes, where: str) -> str:
    try:
        return field.split(b"\0", 1)[0].decode("ascii")
    except UnicodeDecodeError as error:
        raise BundleError(f"{where}: holds a name that is not ASCII: {field!r}") from error


def _check_pax(content: Content, size: int, where: str) -> None:
    """Extended headers may hold times and owners, which are passed over, but no other name, size or link."""
    if size > MOST_PAX_BYTES:
        raise BundleError(f"{where}: an extended header of {size} bytes", "Write it with plain `tar -cf`.")
    rest = content.read(size)
    while rest:
        length, space, _ = rest.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 1 < int(length) <= len(rest):
            raise BundleError(f"{where}: is a damaged tar archive", "Write it with plain `tar -cf`.")
        key = rest[len(length) + 1 : int(length)].partition(b"=")[0].decode("ascii", "replace")
        if not key.startswith(_HARMLESS_PAX):
            raise BundleError(f"{where}: an extended header sets {key!r}", "Write it with plain `tar -cf`.")
        rest = rest[int(length) :]
