"""Files of plain arrays (npz): written so that the same content gives the same bytes, read within a size budget.

A few kilobytes of zeros, compressed, may fill the memory when they are unpacked. So the sizes in the zip directory and
in every array's header are checked before anything is allocated, and nothing is unpickled.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.files import COPY_AGAIN, LIMITS, open_regular
from asd_agent.errors import BundleError

Arrays = dict[str, npt.NDArray[Any]]
_MOST_ENTRIES = 20_000
"""Arrays in one file. 36 members in 14 conditions have about 3,000."""
_ENTRY_BYTES = 46 + 300
"""Directory entry of zip: 46 bytes and a name."""
_END = struct.Struct("<4s4H2LH")
"""End of a zip directory: signature, disk numbers, entries, bytes, offset, comment length."""
_END_SIGNATURE, _ZIP64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_KINDS = "biufU"
"""Kinds of numpy types: booleans, integers, floats and text."""
_BLOCK = 1 << 20


def load_arrays(path: Path, most_bytes: int = LIMITS.scorers_bytes) -> Arrays:
    """Read an npz file of plain arrays.

    Args:
        path: The file.
        most_bytes: Unpacked size of all arrays together.

    Raises:
        BundleError: It is no such file, damaged, or larger; pickled objects are refused.
    """
    try:
        with open_regular(path) as stream, _opened(path, stream, most_bytes) as packed:
            return {i.filename.removesuffix(".npy"): _read_array(path, packed, i) for i in packed.infolist()}
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path}: not readable as plain arrays", COPY_AGAIN) from error


def check_unpacked_size(path: Path, most_bytes: int) -> None:
    """Refuse an npz file that is damaged or unpacks to more than so many bytes; no array is read.

    Raises:
        BundleError: It is refused.
    """
    try:
        with open_regular(path) as stream, _opened(path, stream, most_bytes):
            pass
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: not readable as plain arrays", COPY_AGAIN) from error


def save_arrays(path: Path | IO[bytes], arrays: Arrays) -> None:
    """Write an npz file whose bytes depend on its content alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for key in sorted(arrays):
            with file.open(zipfile.ZipInfo(f"{key}.npy"), "w") as entry:
                np.lib.format.write_array(entry, np.asarray(arrays[key]), allow_pickle=False)


def _opened(path: Path, stream: BinaryIO, most_bytes: int) -> zipfile.ZipFile:
    _check_directory(path, stream)
    packed = zipfile.ZipFile(stream)
    entries = packed.infolist()
    names = [i.filename for i in entries]
    methods = {i.compress_type for i in entries}
    if len(set(names)) < len(names) or not all(n.endswith(".npy") for n in names):
        raise BundleError(f"{path}: holds something else than arrays", COPY_AGAIN)
    if not methods <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BundleError(f"{path}: is compressed in another way than deflate", COPY_AGAIN)
    size = sum(i.file_size for i in entries)
    if size > most_bytes:
        raise BundleError(f"{path}: unpacks to {size} bytes, more than {most_bytes}", "Export a smaller bundle.")
    return packed


def _check_directory(path: Path, stream: BinaryIO) -> None:
    """Refuse a directory with too many entries before `zipfile` holds all of them in memory."""
    size = stream.seek(0, 2)
    tail = _ZIP64_LOCATOR_BYTES + _END.size
    stream.seek(max(0, size - tail))
    end = stream.read(tail)
    if len(end) < _END.size or end[-_END.size :][:4] != _END_SIGNATURE:
        raise BundleError(f"{path}: is no file of arrays, or is cut off", COPY_AGAIN)
    _, _, _, _, count, directory_bytes, _, _ = _END.unpack(end[-_END.size :])
    if end.startswith(_ZIP64_SIGNATURE) or count > _MOST_ENTRIES or directory_bytes > _MOST_ENTRIES * _ENTRY_BYTES:
        raise BundleError(f"{path}: holds more than {_MOST_ENTRIES} arrays", "Export a smaller bundle.")
    stream.seek(0)


def _read_array(path: Path, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with packed.open(info) as entry:
        shape, is_fortran, dtype = _read_header(entry)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in _KINDS or min(shape, default=0) < 0 or size != info.file_size - entry.tell():
            what = f"not readable as plain arrays ({info.filename!r} has another type or size)"
            raise BundleError(f"{path}: {what}", COPY_AGAIN)
        content, done = bytearray(size), 0
        while done < size:
            block = entry.read(min(_BLOCK, size - done))
            if not block:
                raise EOFError
            content[done : done + len(block)] = block
            done += len(block)
        entry.read(1)  # at the end `zipfile` compares the checksum
    flat = np.frombuffer(content, dtype) if size else np.empty(0, dtype)
    return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)


def _read_header(entry: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        return read_header[np.lib.format.read_magic(entry)](entry)
    except Exception as error:  # numpy's parser lets TokenError, TypeError, MemoryError and others out
        raise ValueError(f"npy header: {error}") from error
