"""One service for each state folder: a lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from asd_agent.errors import AsdError

FILE_NAME = "service.lock"


class StateLock:
    """The lock of a state folder, held until `release` or the end of the process.

    Args:
        folder: The state folder.

    Raises:
        AsdError: Another service holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / FILE_NAME
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            # A read-only or full disk must not keep the box from listening; its outbox reports the disk.
            self._file = -1
            if not path.exists():
                return
            raise AsdError(f"{path}: cannot be opened ({error.strerror})", "Run this as the service's user.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise AsdError(
                f"another service uses the state folder {folder}{f' (process {owner})' if owner.isdigit() else ''}",
                "Stop it first: `systemctl stop asd-agent`; or give this one a paths.state of its own.",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the folder free."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
