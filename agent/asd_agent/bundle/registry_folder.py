"""Folder of the registry of bundles: what is stored in it, its lock, and the stages of changes in progress.

`<bundles>/<name>` is a link to `<bundles>/.store/<name>-<first 12 digits of the digest>`; beside it
`<bundles>/.store/<name>.json` lists the activations. Each stage has a lock of its own, which keeps it from being
removed as a leftover.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.activations import ActivationList
from asd_agent.bundle.bundle import ADOPTED, Bundle
from asd_agent.bundle.files import MANIFEST
from asd_agent.config.base import NAME
from asd_agent.errors import BundleError, UsageError

STORE = ".store"
_MOST_NAME = 100
DIGITS = 12
STORED = re.compile(r"(?P<name>[A-Za-z0-9_-]+)-(?P<short>[0-9a-f]{12})(?:\.(?P<copy>[1-9][0-9]*))?\Z")
"""A folder in the store; a second copy of one bundle, which replaces a damaged one, has a number."""
_STAGE, LINK = "stage-", ".link-"
_LOCK_SECONDS = 10.0
"""Wait for another command's change, which takes as long as hashing one bundle."""


@dataclass(frozen=True)
class InstalledBundle:
    """A bundle in the registry.

    Attributes:
        name: Name by which monitors refer to it.
        short: First 12 digits of its digest; empty where its manifest cannot be read.
        path: Its folder.
        active: Whether it is the one in use.
        installed: Time of its installation, seconds since 1970.
        activated: Time when it was last put to use, UTC; None where that is not known.
        copy: Number of the copy, 0 for the first.
    """

    name: str
    short: str
    path: Path
    active: bool
    installed: float
    activated: str | None
    copy: int = 0


class RegistryFolder:
    """Stored bundles of a registry.

    Args:
        folder: `paths.bundles`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / STORE

    def new_link(self, name: str, target: Path) -> Path:
        """Create a link to a stored bundle, under a name that is renamed later."""
        # In the folder of the link that it replaces: its target is relative.
        link = self.folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target.relative_to(self.folder))
        return link

    def active(self, name: str) -> InstalledBundle | None:
        """Return the stored bundle in use."""
        return next((s for s in self.copies(name) if s.active), None)

    def stored(self, name: str) -> list[InstalledBundle]:
        """Return the stored bundles of a name, of several copies of one bundle the one in use or the newest."""
        best: dict[str, InstalledBundle] = {}
        for stored in self.copies(name):
            other = best.get(stored.short)
            if other is None or (stored.active, stored.copy) > (other.active, other.copy):
                best[stored.short] = stored
        return list(best.values())

    def copies(self, name: str) -> list[InstalledBundle]:
        """Return every stored copy of the bundles of a name."""
        place, activations = self.folder / name, self.activations(name)
        target = self.folder / place.readlink() if place.is_symlink() else None
        copies = []
        for entry in names_in(self.store):
            match, path = STORED.match(entry), self.store / entry
            if match and match["name"] == name and path.is_dir() and not path.is_symlink():
                short, copy = match["short"], int(match["copy"] or 0)
                active, activated = path == target, activations.last(short)
                copies.append(InstalledBundle(name, short, path, active, installed_at(path), activated, copy))
        return copies

    def activations(self, name: str) -> ActivationList:
        """Return the list of the activations of a name."""
        return ActivationList(self.store / f"{name}.json")

    def one(self, name: str, short: str) -> InstalledBundle:
        """Return the stored bundle whose digest begins with these digits.

        Raises:
            BundleError: There is none, or more than one.
        """
        check_bundle_name(name)
        stored = self.stored(name)
        fitting = [s for s in stored if s.short.startswith(short[:DIGITS])]
        if len(fitting) != 1:
            known = ", ".join(s.short for s in stored) or "none"
            raise BundleError(f"{len(fitting)} installed bundles {name!r} begin with {short!r}", f"Installed: {known}.")
        return fitting[0]

    def delete(self, path: Path) -> None:
        """Remove a stored bundle; a reader sees it whole or not at all."""
        with self.new_stage(locked=True) as stage:
            path.rename(stage / path.name)

    @contextmanager
    def new_stage(self, *, locked: bool = False) -> Iterator[Path]:
        """Create an empty folder in the store, with a lock of its own, and remove what is left of it at the end.

        Args:
            locked: Whether the registry is locked already.
        """
        if not locked:
            with self.locked():
                self.remove_leftovers()
                stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self.store))
                handle = _lock_folder(stage)
        else:
            stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self.store))
            handle = _lock_folder(stage)
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if handle is not None:
                os.close(handle)

    def remove_leftovers(self) -> None:
        """Remove what changes left behind that were cut off, and complete an adoption that was."""
        for stage in self.store.glob(f"{_STAGE}*"):
            handle = _lock_folder(stage)
            if handle is not None:  # else another command works in it
                shutil.rmtree(stage, ignore_errors=True)
                os.close(handle)
        for link in (*self.folder.glob(f"{LINK}*"), *self.folder.glob(f"{ADOPTED}*")):
            place = self.folder / link.name.removeprefix(ADOPTED)
            if link.name.startswith(ADOPTED) and not place.is_symlink() and not place.exists():
                link.rename(place)
            elif link.is_symlink():
                link.unlink()
        for name in {m["name"] for m in map(STORED.match, names_in(self.store)) if m}:
            kept = {s.path for s in self.stored(name)}
            for copy in self.copies(name):
                if copy.path not in kept:
                    self.delete(copy.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the registry; its folders are made where they are not there.

        Raises:
            BundleError: It cannot be written, or another command holds the lock for too long.
        """
        try:
            for made in (self.folder, self.store):
                if not made.exists():
                    made.mkdir(parents=True)
                    made.chmod(0o755)  # whatever the umask: the service's user reads it
            handle = os.open(self.store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            remedy = "Run this as the service's user or with sudo."
            raise BundleError(f"{self.store} cannot be written ({error.strerror})", remedy) from error
        try:
            _wait_for_lock(handle, self.folder)
            yield
        except OSError as error:
            raise BundleError(f"{self.folder} cannot be changed ({error.strerror})") from error
        finally:
            os.close(handle)


def _lock_folder(folder: Path) -> int | None:
    """Lock a folder until the handle is closed or the process ends; None where another holds the lock."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _wait_for_lock(handle: int, folder: Path) -> None:
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise BundleError(f"{folder}: another command changes it", "Wait for it to end.") from error
            time.sleep(0.05)
        else:
            return


def check_bundle_name(name: str) -> None:
    """Refuse a name that no folder of a bundle has.

    Raises:
        UsageError: It is another name.
    """
    if not NAME.match(name) or len(name) > _MOST_NAME:
        raise UsageError(f"{name[:60]!r} cannot name a bundle here", "Give a --name of letters, digits, '_' and '-'.")


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return []


def digest_of(folder: Path) -> str:
    """Return the digest of an intact bundle, empty for another folder."""
    try:
        return Bundle.open(folder).digest
    except BundleError:
        return ""


def short_digest_of(folder: Path) -> str:
    """Return the first 12 digits of the digest of an intact bundle, empty for another folder."""
    return digest_of(folder)[:DIGITS]


def installed_at(folder: Path) -> float:
    """Return the time of an installation, seconds since 1970; 0 where it is not known."""
    try:
        return (folder / MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def is_stored(bundle: Bundle) -> bool:
    """Return whether a bundle stands in a registry's store, under the digest by which it was kept."""
    place = bundle.path.resolve()
    match = STORED.match(place.name)
    return place.parent.name == STORE and match is not None and bundle.digest.startswith(match["short"])
