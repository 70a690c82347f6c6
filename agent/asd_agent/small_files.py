"""Small files that people write or provide: read within a size budget, and never from a pipe or a device.

A FIFO would be waited for, `/dev/zero` read until the memory is full. Links are followed, since settings and secrets
are often mounted as links.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 1_000_000
"""Size of a configuration, a file of certificates or a list of users; 1,000 monitors take 0.2 MB."""


class SmallFileError(OSError):
    """No regular file, or a larger one than is read; `strerror` has the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(0, reason)


def read_small(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a regular file of at most so many bytes.

    Args:
        path: The file; links are followed.
        most: Largest size in bytes.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.

    Examples:
        >>> try:
        ...     read_small(Path("/dev/zero"))
        ... except OSError as error:
        ...     print(error.strerror)
        is no regular file
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # a NUL or half of a character in the path
        raise SmallFileError("its path holds a character that no path may hold") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise SmallFileError("is no regular file")
    with os.fdopen(handle, "rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise SmallFileError(f"is larger than {most:,} bytes")
    return content
