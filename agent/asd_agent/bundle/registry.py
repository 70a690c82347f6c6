"""Registry of installed bundles: which one of a name is in use, which were before it, and every change in one step.

`<bundles>/<name>` is a link to `<bundles>/.store/<name>-<first 12 digits of the digest>`. A bundle is copied beside the
others, checked, moved into the store, and only then the link is replaced by a rename. A change that is cut off leaves
the bundle in use that was; the next change removes what it left behind.

A check of a bundle may take minutes and runs what came from outside, so no lock is held meanwhile. Each copy in
progress has a lock of its own, which keeps it from being removed as a leftover.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.activations import Activation, ActivationList
from asd_agent.bundle.bundle import ADOPTED, Bundle
from asd_agent.bundle.files import LIMITS, MANIFEST, BundleLimits
from asd_agent.bundle.importer import import_bundle
from asd_agent.clock import iso_utc
from asd_agent.config.base import NAME
from asd_agent.errors import AsdError, BundleError, UsageError
from asd_agent.whole_files import sync_folder

STORE = ".store"
_DIGITS = 12
_STORED = re.compile(r"(?P<name>[A-Za-z0-9_-]+)-(?P<short>[0-9a-f]{12})(?:\.(?P<copy>[1-9][0-9]*))?\Z")
"""A folder in the store; a second copy of one bundle, which replaces a damaged one, has a number."""
_STAGE, _LINK = "stage-", ".link-"
_LOCK_SECONDS = 10.0
"""Wait for another command's change, which takes as long as hashing one bundle."""

CheckBundle = Callable[[Bundle], object]
"""Raises an AsdError unless the bundle gives its golden scores here."""


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


class BundleRegistry:
    """Installation of bundles, and the choice of the one in use.

    Args:
        folder: `paths.bundles`.
        check: Called before a bundle is put to use, with no lock held.
        utc: Returns the time, seconds since 1970.
        limits: Largest sizes of a bundle.
        step: Called with the name of each step before it is made.
    """

    def __init__(
        self,
        folder: Path,
        check: CheckBundle,
        utc: Callable[[], float],
        *,
        limits: BundleLimits = LIMITS,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self._store = folder, folder / STORE
        self._check_scores, self._utc, self._limits, self._step = check, utc, limits, step

    def install(self, source: Path, name: str | None = None, *, activate: bool = True) -> InstalledBundle:
        """Copy a bundle here, check it, and put it to use.

        Args:
            source: Its folder, or a `.tar` of it.
            name: Name by which monitors refer to it; by default its own.
            activate: Put it to use.

        Raises:
            BundleError: It is refused; nothing has changed.
        """
        if name is not None:
            _check_name(name)
        with self._new_stage() as stage:
            self._step("copy")
            import_bundle(source, stage, self._limits)
            self._step("check every file")
            bundle = self._check(stage, shown=source)
            name = name or bundle.manifest.name
            _check_name(name)
            with self._locked():
                stored = self._keep(stage, name, bundle.digest)
                return self._activate(stored) if activate or stored.active else stored

    def activate(self, name: str, short: str) -> InstalledBundle:
        """Put an installed bundle to use.

        Args:
            name: Its name.
            short: First digits of its digest.

        Raises:
            BundleError: There is none, or it does not pass here; nothing has changed.
        """
        found = self._one(name, short)
        self._check(found.path)
        with self._locked():
            return self._activate(self._one(name, found.short))

    def rollback(self, name: str) -> InstalledBundle:
        """Put the bundle to use again that was in use before the present one.

        Raises:
            BundleError: There was none, or it is not here any more, or does not pass; nothing has changed.
        """
        _check_name(name)
        active, found = self._before(name)
        self._check(found.path)
        with self._locked():
            if self._before(name) != (active, found):
                raise BundleError(f"bundle {name!r}: another command changed what is in use", "Call it again.")
            # Recorded after the link is replaced: the list is read up to the bundle in use, whichever that is.
            self._link(found)
            self._step("record what is in use")
            activations = self._activations(name)
            entries = activations.before_rollback(active, found.short)
            activations.write([*entries, Activation(found.short, iso_utc(self._utc()))])
            return self._active(name) or found

    def remove(self, name: str, short: str) -> Path:
        """Delete an installed bundle that is not in use; returns the path where it was.

        Raises:
            BundleError: There is none, or it is in use.
        """
        with self._locked():
            found = self._one(name, short)
            if found.active:
                raise BundleError(f"bundle {name} {found.short} is in use", "Put another one to use first.")
            self._delete(found.path)
            return found.path

    def listed(self) -> list[InstalledBundle]:
        """Return every bundle in the registry by name, the newest first."""
        names = {match["name"] for match in map(_STORED.match, _names(self._store)) if match}
        names |= {n for n in _names(self.folder) if NAME.match(n)}
        bundles: list[InstalledBundle] = []
        for name in sorted(names):
            stored = self._stored(name)
            place = self.folder / name
            if place.is_dir() and not any(s.active for s in stored):
                stored.append(InstalledBundle(name, _short_digest(place), place, True, _installed_at(place), None))
            bundles += sorted(stored, key=lambda s: s.installed, reverse=True)
        return bundles

    def _check(self, path: Path, shown: Path | None = None) -> Bundle:
        """Check every file and every golden window; messages show the path that the caller gave."""
        try:
            bundle = Bundle.open(path, self._limits)
            self._step("score its golden windows")
            self._check_scores(bundle)
        except AsdError as error:
            raise BundleError(error.what.replace(str(path), str(shown or path)), error.remedy) from error
        return bundle

    def _keep(self, stage: Path, name: str, digest: str) -> InstalledBundle:
        """Move a checked copy into the store, unless it is there already and whole."""
        short = digest[:_DIGITS]
        copies = [s for s in self._copies(name) if s.short == short]
        self._step("store")
        for stored in copies:
            if _digest(stored.path) == digest:
                return stored
        number = max((s.copy for s in copies), default=-1) + 1
        place = self._store / (f"{name}-{short}.{number}" if number else f"{name}-{short}")
        stage.rename(place)
        sync_folder(self._store)
        replaces_active = any(s.active for s in copies)
        return InstalledBundle(name, short, place, replaces_active, _installed_at(place), None, number)

    def _activate(self, wanted: InstalledBundle) -> InstalledBundle:
        name = wanted.name
        self._adopt(name)
        active, activations = self._active(name), self._activations(name)
        if active is None or active.short != wanted.short:
            self._step("record what is to be in use")
            entries = activations.up_to(active.short if active else None)
            activations.write([*entries, Activation(wanted.short, iso_utc(self._utc()))])
        if active is None or active.path != wanted.path:
            self._link(wanted)
            for damaged in self._copies(name):
                if damaged.short == wanted.short and damaged.path != wanted.path:
                    self._delete(damaged.path)
        return self._active(name) or wanted

    def _link(self, wanted: InstalledBundle) -> None:
        place = self.folder / wanted.name
        if place.exists() and not place.is_symlink():
            raise BundleError(f"{place}: is no bundle and is in the way", "Move it away yourself.")
        link = self._new_link(f"{_LINK}{os.getpid()}", wanted.path)
        self._step("activate")
        link.rename(place)
        sync_folder(self.folder)

    def _adopt(self, name: str) -> None:
        """Move a bundle into the store that somebody put in place by hand, so that a rollback finds it.

        No call of POSIX replaces a folder with a link in one step. So the link is made beside the folder first, and
        `Bundle.open` follows it while the folder is gone and the link is not renamed yet.
        """
        place = self.folder / name
        if not place.is_dir() or self._active(name) is not None:
            return
        try:
            digest = Bundle.open(place, self._limits).digest
            with self._new_stage(locked=True) as stage:
                self._step("keep the bundle that was put there by hand")
                import_bundle(place.resolve(), stage, self._limits)
                kept = self._keep(stage, name, digest).path
        except BundleError as error:
            message = f"{place}: is in the way and cannot be kept: {error.what}"
            raise BundleError(message, "Move it away yourself.") from error
        link = self._new_link(f"{ADOPTED}{name}", kept)
        sync_folder(self.folder)
        if place.is_symlink():
            link.rename(place)
        else:
            with self._new_stage(locked=True) as stage:
                place.rename(stage / name)
                self._step("replace the folder that was put there by hand")
                link.rename(place)
        sync_folder(self.folder)

    def _new_link(self, name: str, target: Path) -> Path:
        # In the folder of the link that it replaces: its target is relative.
        link = self.folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target.relative_to(self.folder))
        return link

    def _before(self, name: str) -> tuple[str | None, InstalledBundle]:
        active = self._active(name)
        short = active.short if active else None
        before = self._activations(name).before(short)
        found = next((s for s in self._stored(name) if s.short == before), None)
        if found is None:
            remedy = "`asd-agent bundle list` shows what is here."
            raise BundleError(f"no bundle {name!r} is here that was in use before {short or 'now'}", remedy)
        return short, found

    def _active(self, name: str) -> InstalledBundle | None:
        """Return the stored bundle in use."""
        return next((s for s in self._copies(name) if s.active), None)

    def _stored(self, name: str) -> list[InstalledBundle]:
        """Return the stored bundles of a name, of several copies of one bundle the one in use or the newest."""
        best: dict[str, InstalledBundle] = {}
        for stored in self._copies(name):
            other = best.get(stored.short)
            if other is None or (stored.active, stored.copy) > (other.active, other.copy):
                best[stored.short] = stored
        return list(best.values())

    def _copies(self, name: str) -> list[InstalledBundle]:
        place, activations = self.folder / name, self._activations(name)
        target = self.folder / place.readlink() if place.is_symlink() else None
        copies = []
        for entry in _names(self._store):
            match, path = _STORED.match(entry), self._store / entry
            if match and match["name"] == name and path.is_dir() and not path.is_symlink():
                short, copy = match["short"], int(match["copy"] or 0)
                active, activated = path == target, activations.last(short)
                copies.append(InstalledBundle(name, short, path, active, _installed_at(path), activated, copy))
        return copies

    def _activations(self, name: str) -> ActivationList:
        return ActivationList(self._store / f"{name}.json")

    def _one(self, name: str, short: str) -> InstalledBundle:
        _check_name(name)
        stored = self._stored(name)
        fitting = [s for s in stored if s.short.startswith(short[:_DIGITS])]
        if len(fitting) != 1:
            known = ", ".join(s.short for s in stored) or "none"
            raise BundleError(f"{len(fitting)} installed bundles {name!r} begin with {short!r}", f"Installed: {known}.")
        return fitting[0]

    def _delete(self, path: Path) -> None:
        """Remove a stored bundle; a reader sees it whole or not at all."""
        with self._new_stage(locked=True) as stage:
            path.rename(stage / path.name)

    @contextmanager
    def _new_stage(self, *, locked: bool = False) -> Iterator[Path]:
        """Create an empty folder in the store, with a lock of its own, and remove what is left of it at the end.

        Args:
            locked: Whether the registry is locked already.
        """
        if not locked:
            with self._locked():
                self._remove_leftovers()
                stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self._store))
                handle = _lock_folder(stage)
        else:
            stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self._store))
            handle = _lock_folder(stage)
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if handle is not None:
                os.close(handle)

    def _remove_leftovers(self) -> None:
        """Remove what changes left behind that were cut off, and complete an adoption that was."""
        for stage in self._store.glob(f"{_STAGE}*"):
            handle = _lock_folder(stage)
            if handle is not None:  # else another command works in it
                shutil.rmtree(stage, ignore_errors=True)
                os.close(handle)
        for link in (*self.folder.glob(f"{_LINK}*"), *self.folder.glob(f"{ADOPTED}*")):
            place = self.folder / link.name.removeprefix(ADOPTED)
            if link.name.startswith(ADOPTED) and not place.is_symlink() and not place.exists():
                link.rename(place)
            elif link.is_symlink():
                link.unlink()
        for name in {m["name"] for m in map(_STORED.match, _names(self._store)) if m}:
            kept = {s.path for s in self._stored(name)}
            for copy in self._copies(name):
                if copy.path not in kept:
                    self._delete(copy.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            for made in (self.folder, self._store):
                if not made.exists():
                    made.mkdir(parents=True)
                    made.chmod(0o755)  # whatever the umask: the service's user reads it
            handle = os.open(self._store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            remedy = "Run this as the service's user or with sudo."
            raise BundleError(f"{self._store} cannot be written ({error.strerror})", remedy) from error
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


def _check_name(name: str) -> None:
    if not NAME.match(name):
        raise UsageError(f"{name!r} cannot name a bundle here", "Give a --name of letters, digits, '_' and '-'.")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return []


def _digest(folder: Path) -> str:
    """Return the digest of an intact bundle, empty for another folder."""
    try:
        return Bundle.open(folder).digest
    except BundleError:
        return ""


def _short_digest(folder: Path) -> str:
    return _digest(folder)[:_DIGITS]


def _installed_at(folder: Path) -> float:
    try:
        return (folder / MANIFEST).stat().st_mtime
    except OSError:
        return 0.0
