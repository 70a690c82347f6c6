"""Cache on disk of arrays computed from clips; several processes may share it.

The key is a digest of the content of the clip, of everything that decides the array, and of the version of the
arithmetic. An array is therefore never stale: a renamed file is found again, a changed one is not.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from asd_agent.bundle.manifest import ARITHMETIC_VERSION

Array = npt.NDArray[Any]
GIB = 1 << 30
_LEFT_BY_THE_DEAD = 3600.0
"""Seconds after which a half-written file was left by a process that died."""
_CHECK = 32
"""Bytes of the digest before each array, which shows damage of any kind."""


@dataclass(frozen=True)
class CacheUsage:
    """Content of a cache.

    Attributes:
        arrays: Number of arrays.
        size: Size of all arrays in bytes.
    """

    arrays: int
    size: int


class Cache:
    """Arrays on disk; the least recently used are removed when they exceed a limit.

    Each process checks the size after writing a twentieth of the limit, so that the limit is exceeded by no more.

    Args:
        folder: Folder of the arrays; made with the first.
        limit: Limit in bytes. All processes that share the folder should use the same.
    """

    def __init__(self, folder: Path, limit: int = 20 * GIB) -> None:
        self.folder = folder
        self.limit = limit
        self._written = limit  # so that the first call checks the size

    def array(self, clip_digest: str, spec: BaseModel | Mapping[str, Any], make: Callable[[], Array]) -> Array:
        """Return the array for a clip and a specification; compute it where it is missing or damaged.

        Args:
            clip_digest: SHA-256 of the clip's file.
            spec: Everything else that decides the array, as JSON values; include the name of the computation.
            make: Computes the array; any shape, no objects.

        Returns:
            The array, equal to the result of `make`. A folder that cannot be written costs only time.

        Raises:
            ValueError: `make` returned Python objects.
        """
        path = self._path(clip_digest, spec)
        found = _read(path)
        if found is not None:
            return found
        made = make()
        if made.nbytes <= self.limit:
            with suppress(OSError):
                self._keep(path, made)
        return made

    def usage(self) -> CacheUsage:
        """Return the current content."""
        sizes = [size for _, size, _ in self._files()]
        return CacheUsage(len(sizes), sum(sizes))

    def _path(self, clip_digest: str, spec: BaseModel | Mapping[str, Any]) -> Path:
        plain = spec.model_dump(mode="json") if isinstance(spec, BaseModel) else dict(spec)
        text = json.dumps([clip_digest, plain, ARITHMETIC_VERSION], sort_keys=True, allow_nan=False)
        key = hashlib.sha256(text.encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.npy"

    def _keep(self, path: Path, made: Array) -> None:
        """Write an array whole or not at all, under a name of this process until it is complete."""
        content = io.BytesIO()
        np.save(content, made, allow_pickle=False)
        data = content.getvalue()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        self._written += made.nbytes
        if self._written > self.limit // 20:
            self._written = 0
            self._tidy()

    def _tidy(self) -> None:
        """Shrink the cache to nine tenths of its limit, least recently used first; one process at a time."""
        with _alone(self.folder / ".lock") as now:
            files = sorted(self._files())
            size = sum(s for _, s, _ in files)
            if size > self.limit:
                for _, one, path in files:
                    path.unlink(missing_ok=True)
                    size -= one
                    if size <= self.limit * 9 // 10:
                        break
            for partial in self.folder.glob("??/.*.partial"):
                with suppress(FileNotFoundError):
                    if now - partial.stat().st_mtime > _LEFT_BY_THE_DEAD:
                        partial.unlink()

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield time of last use, size and path of each array; other processes may remove them meanwhile."""
        for path in self.folder.glob("??/*.npy"):
            with suppress(FileNotFoundError):
                found = path.stat()
                yield found.st_mtime_ns, found.st_size, path


def _read(path: Path) -> Array | None:
    """Return an array and mark it as used; None where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[_CHECK:]
    if hashlib.sha256(data).digest() != content[:_CHECK]:
        return None  # it is computed and written again
    with suppress(OSError):
        os.utime(path)
    array: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return array


@contextmanager
def _alone(path: Path) -> Iterator[float]:
    """Hold a lock, which the operating system releases when a process dies; yield the time of the file system."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(path)
        yield path.stat().st_mtime
