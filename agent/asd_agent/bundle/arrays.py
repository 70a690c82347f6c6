"""Files of plain arrays (npz): written so that the same content gives the same bytes, read within a size budget.

A few kilobytes of zeros, compressed, may fill the memory when they are unpacked. So the sizes in the zip directory and
in every array's header are checked before anything is allocated, and nothing is unpickled.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.files import COPY_AGAIN, LIMITS, SMALLER, open_regular
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


def load_arrays(path: Path, most_bytes: int = LIMITS.scorers_bytes, names: Collection[str] | None = None) -> Arrays:
    """Read an npz file of plain arrays.

    Args:
        path: The file.
        most_bytes: Unpacked size of all arrays together.
        names: Arrays to read, after the headers of all; by default all.

    Raises:
        BundleError: It is no such file, damaged, or larger; pickled objects are refused.
    """
    try:
        with open_regular(path) as stream, _opened(path, stream, most_bytes) as packed:
            arrays: Arrays = {}
            for info in packed.infolist():
                name = info.filename.removesuffix(".npy")
                with packed.open(info) as entry:
                    header = _checked_header(path, info, entry)
                    if names is None or name in names:
                        arrays[name] = _read_array(entry, *header)
            return arrays
    except (OSError, ArithmeticError, ValueError, EOFError, RuntimeError, MemoryError) as error:
        raise BundleError(f"{path}: not readable as plain arrays", COPY_AGAIN) from error
    except (zipfile.BadZipFile, zlib.error) as error:
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
        raise BundleError(f"{path}: unpacks to {size} bytes, more than {most_bytes}", SMALLER)
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
        raise BundleError(f"{path}: holds more than {_MOST_ENTRIES} arrays", SMALLER)
    stream.seek(0)


def _checked_header(path: Path, info: zipfile.ZipInfo, entry: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read an array's header and refuse another type, or another size than the entry has left."""
    shape, is_fortran, dtype = _read_header(entry)
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in _KINDS or min(shape, default=0) < 0 or size != info.file_size - entry.tell():
        what = f"not readable as plain arrays ({info.filename!r} has another type or size)"
        raise BundleError(f"{path}: {what}", COPY_AGAIN)
    return shape, is_fortran, dtype


def _read_array(entry: IO[bytes], shape: tuple[int, ...], is_fortran: bool, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    size = math.prod(shape) * dtype.itemsize
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
