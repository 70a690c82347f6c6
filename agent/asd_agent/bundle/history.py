"""Which installed bundle was in use before which: a short list on the disk, and the one-step swap of two names."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.importer import sync_folder
from asd_agent.errors import BundleError

_KEPT = 100
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class Use:
    """A bundle that was put to use.

    Attributes:
        bundle: The first digits of its digest.
        at: When, UTC; empty where it was there before this list.
    """

    bundle: str
    at: str


class History:
    """Bundles of one name in the order in which they were put to use.

    It may be ahead of what is in use by entries that never came about, or that were gone back from: what comes after
    the bundle in use does not count.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            self.uses = [Use(str(e["bundle"]), str(e["at"])) for e in read["activated"]]
        except (OSError, ValueError, KeyError, TypeError):
            self.uses = []

    def upto(self, active: str | None, *, until: str | None = None) -> list[Use]:
        """The uses up to that of the bundle in use; or those that came before `until`, which was in use before it."""
        if until is not None:
            uses = self.upto(active)
            return uses[: max(i for i, use in enumerate(uses) if use.bundle == until)]
        known = [use.bundle for use in self.uses]
        if active is None:
            return []
        if active not in known:
            return [Use(active, "")]
        return self.uses[: len(known) - known[::-1].index(active)]

    def before(self, active: str | None) -> str | None:
        """The bundle that was in use before the present one."""
        return next((use.bundle for use in reversed(self.upto(active)) if use.bundle != active), None)

    def last_use(self, bundle: str) -> str | None:
        """When a bundle was last put to use."""
        return next((use.at for use in reversed(self.uses) if use.bundle == bundle and use.at), None)

    def write(self, uses: list[Use]) -> None:
        """Replace the list, on the disk when this returns."""
        unfinished = self._path.with_suffix(".unfinished")
        with unfinished.open("w", encoding="utf-8") as stream:
            json.dump({"activated": [{"bundle": u.bundle, "at": u.at} for u in uses[-_KEPT:]]}, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.chmod(0o644)
        unfinished.rename(self._path)
        sync_folder(self._path.parent)
        self.uses = uses[-_KEPT:]


def exchange(one: Path, other: Path) -> None:
    """Swap what two names stand for, in one step (renameat2(2)).

    Raises:
        BundleError: The file system cannot.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if rename is not None:
        if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
    raise BundleError(f"{other}: cannot be swapped here ({os.strerror(code)})", "Move it away yourself.")
