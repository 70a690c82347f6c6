"""Files of a bundle: their names, their largest sizes, and reading that follows no link and waits for no pipe."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from asd_agent.errors import BundleError

MANIFEST = "manifest.json"
SCORERS = "scorers.npz"
GOLDEN = "golden.npz"
MEMBERS = "members"
"""Folder of the graphs."""
COPY_AGAIN = "Copy or export the bundle again."
SMALLER = "Export a smaller bundle."
REGULAR_ALONE = "A bundle holds regular files alone. " + COPY_AGAIN
_GRAPH = re.compile(r"members/[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}\.onnx\Z")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class BundleLimits:
    """Largest sizes of a bundle.

    Attributes:
        files: Number of files. A bundle of 36 members has 39.
        manifest_bytes: Size of manifest.json. 36 members in 14 conditions take 0.2 MB; reading one needs about 30 times
            its size in memory.
        file_bytes: Size of any other file. The largest graph that a recipe exports, a classifier, has 93 MB.
        all_bytes: Size of all files together.
        scorers_bytes: Size of scorers.npz, unpacked. 36 members in 14 conditions, each with two covariances of 129
            dimensions: 134 MB.
        golden_bytes: Size of golden.npz, unpacked: 200 windows of 10 s.
    """

    files: int = 1000
    manifest_bytes: int = 4 << 20
    file_bytes: int = 256 << 20
    all_bytes: int = 4 << 30
    scorers_bytes: int = 256 << 20
    golden_bytes: int = 64 << 20


LIMITS = BundleLimits()


def is_bundle_file(name: str) -> bool:
    """Return whether a bundle may hold a file of this name, with `/` between its parts."""
    return name in (MANIFEST, SCORERS, GOLDEN) or _GRAPH.match(name) is not None


def check_name(where: Path, name: str) -> None:
    """Refuse a name that no file of a bundle has.

    Args:
        where: Bundle or archive, for the message.
        name: With `/` between its parts.

    Raises:
        BundleError: It is another name.
    """
    if not is_bundle_file(name):
        remedy = f"A bundle holds {MANIFEST}, {SCORERS}, {GOLDEN} and {MEMBERS}/*.onnx."
        raise BundleError(f"{where}: {name[:200]!r} does not belong to a bundle", remedy)


def check_size(where: Path, name: str, size: int, limits: BundleLimits = LIMITS) -> None:
    """Refuse a file that is too large.

    Raises:
        BundleError: It is larger than the limits allow.
    """
    most = limits.manifest_bytes if name == MANIFEST else limits.file_bytes
    if size > most:
        raise BundleError(f"{where}: {name!r} of {size} bytes is larger than {most}", SMALLER)


def check_totals(where: Path, count: int, size: int, limits: BundleLimits = LIMITS) -> None:
    """Refuse too many files, or too many bytes in all of them.

    Raises:
        BundleError: The limits are exceeded.
    """
    if size > limits.all_bytes or count > limits.files:
        raise BundleError(f"{where}: holds more than {limits.all_bytes} bytes or {limits.files} files", SMALLER)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a link is not followed and a pipe is not waited for.

    Raises:
        BundleError: It is missing, is no regular file, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: is missing", COPY_AGAIN) from error
    except OSError as error:
        if path.is_symlink():
            raise BundleError(f"{path}: is a link", REGULAR_ALONE) from error
        raise BundleError(f"{path}: cannot be read ({error.strerror})", COPY_AGAIN) from error
    stream = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        stream.close()
        raise BundleError(f"{path}: is no regular file", REGULAR_ALONE)
    return stream


def read_regular(path: Path, most: int) -> bytes:
    """Read a regular file of at most so many bytes.

    Raises:
        BundleError: It is missing, larger, no regular file, or cannot be read.
    """
    with open_regular(path) as stream:
        try:
            content = stream.read(most + 1)
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror})", COPY_AGAIN) from error
    if len(content) > most:
        raise BundleError(f"{path}: is larger than {most} bytes", SMALLER)
    return content


def bundle_files(root: Path, limits: BundleLimits = LIMITS) -> dict[str, int]:
    """List the files in a bundle's folder.

    Args:
        root: The folder.
        limits: Largest sizes.

    Returns:
        Size of each file by its name, with `/` between its parts.

    Raises:
        BundleError: It holds a link, another kind of file, a name that no bundle has, or too much.
    """
    sizes: dict[str, int] = {}
    for folder, prefix in ((root, ""), (root / MEMBERS, f"{MEMBERS}/")):
        if prefix and not folder.exists():
            break
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_symlink():
                        raise BundleError(f"{entry.path}: is a link", REGULAR_ALONE)
                    if entry.is_dir(follow_symlinks=False) and name == MEMBERS:
                        continue
                    check_name(root, name)
                    if not entry.is_file(follow_symlinks=False):
                        raise BundleError(f"{entry.path}: is no regular file", REGULAR_ALONE)
                    sizes[name] = entry.stat(follow_symlinks=False).st_size
                    check_size(root, name, sizes[name], limits)
                    check_totals(root, len(sizes), sum(sizes.values()), limits)
        except OSError as error:
            raise BundleError(f"{folder}: cannot be read ({error.strerror})", COPY_AGAIN) from error
    return sizes


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return stream_digest(file)


def stream_digest(stream: BinaryIO) -> str:
    """Return the SHA-256 of a stream to its end, in hexadecimal."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
