"""The folder of installed bundles: what is in use, what was before it, and every change in one step.

`<bundles>/<name>` is a link to `<bundles>/.store/<name>-<first 12 of its digest>`. A bundle is copied beside the
others, proved, moved into the store, and only then does the link turn to it, by a rename. What ends a change halfway
leaves the bundle in use that was; the next installation clears what it left behind.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.history import History, Use, exchange
from asd_agent.bundle.importer import ImportLimits, import_bundle, sync_folder
from asd_agent.clock import iso_utc
from asd_agent.config.base import NAME
from asd_agent.errors import AsdError, BundleError, UsageError

STORE = ".store"
_SHORT = 12
_STORED = re.compile(r"(?P<name>[A-Za-z0-9_-]+)-(?P<short>[0-9a-f]{12})\Z")
_STAGE, _LINK = "stage-", "link-"

Prove = Callable[[Bundle], object]
"""Raises a BundleError unless the bundle gives its golden scores here."""


@dataclass(frozen=True)
class Stored:
    """A bundle on the shelf.

    Attributes:
        name: Under which monitors name it.
        short: First 12 digits of its digest; empty where its manifest cannot be read.
        path: Its folder.
        active: Whether it is the one in use.
        installed: When it came here, seconds since 1970.
        activated: When it was last put to use, UTC; None where that is not known.
    """

    name: str
    short: str
    path: Path
    active: bool
    installed: float
    activated: str | None


class BundleRegistry:
    """Installs bundles and changes which one is in use.

    Args:
        folder: `paths.bundles`.
        prove: Asked before a bundle is put to use.
        utc: The time, seconds since 1970.
        caps: How much a bundle may hold.
        step: Told of each step before it is made.
    """

    def __init__(
        self,
        folder: Path,
        prove: Prove,
        utc: Callable[[], float],
        *,
        caps: ImportLimits | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self._store = folder, folder / STORE
        self._prove, self._utc, self._caps, self._step = prove, utc, caps, step

    def install(self, source: Path, name: str | None = None, *, activate: bool = True) -> Stored:
        """Copy a bundle here, prove it, and put it to use.

        Args:
            source: Its folder, or a `.tar` of it.
            name: Under which monitors name it; by default its own.
            activate: Put it to use.

        Raises:
            BundleError: It is refused; nothing has changed.
        """
        if name is not None:
            _check_name(name)
        with self._locked():
            stored = self._add(source, name)
            return self._activate(stored) if activate else stored

    def activate(self, name: str, short: str) -> Stored:
        """Put a bundle to use that is installed.

        Args:
            name: Its name.
            short: The first digits of its digest.

        Raises:
            BundleError: There is none, or it does not pass here; nothing has changed.
        """
        with self._locked():
            found = self._one(name, short)
            self._check(found.path)
            return self._activate(found)

    def rollback(self, name: str) -> Stored:
        """Put the bundle to use again that was in use before the present one.

        Raises:
            BundleError: There was none, or it is not here any more, or does not pass; nothing has changed.
        """
        _check_name(name)
        with self._locked():
            active, history = self._active(name), self._history(name)
            before = history.before(active)
            found = next((s for s in self._stored(name) if s.short == before), None)
            if found is None:
                remedy = "`asd-agent bundle list` shows what is here."
                raise BundleError(f"no bundle {name!r} is here that was in use before {active or 'now'}", remedy)
            self._check(found.path)
            # Noted after it is done: what was in use before is told from the bundle in use, whichever that is.
            self._turn_to(found)
            self._step("note what is in use")
            history.write([*history.upto(active, until=found.short), Use(found.short, iso_utc(self._utc()))])
            return next(s for s in self._stored(name) if s.active)

    def remove(self, name: str, short: str) -> Path:
        """Delete an installed bundle that is not in use; returns where it was.

        Raises:
            BundleError: There is none, or it is in use.
        """
        with self._locked():
            found = self._one(name, short)
            if found.active:
                raise BundleError(f"bundle {name} {found.short} is in use", "Put another one to use first.")
            gone = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self._store))
            found.path.rename(gone / found.path.name)
            shutil.rmtree(gone)
            return found.path

    def listed(self) -> list[Stored]:
        """Everything on the shelf, by name, the newest first."""
        names = {match["name"] for match in map(_STORED.match, _names(self._store)) if match}
        names |= {n for n in _names(self.folder) if NAME.match(n)}
        found: list[Stored] = []
        for name in sorted(names):
            stored = self._stored(name)
            place = self.folder / name
            if place.is_dir() and not any(s.active for s in stored):
                stored.append(Stored(name, _short(place), place, True, _installed(place), None))
            found += sorted(stored, key=lambda s: s.installed, reverse=True)
        return found

    def _add(self, source: Path, name: str | None) -> Stored:
        self._clear()
        self._step("copy")
        stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self._store))
        try:
            import_bundle(source, stage, self._caps)
            self._step("check every file")
            bundle = self._check(stage, said=source)
            name = name or bundle.manifest.name
            if not NAME.match(name):
                raise UsageError(
                    f"{name!r} cannot name a bundle here", "Give a --name of letters, digits, '_' and '-'."
                )
            place = self._store / f"{name}-{bundle.digest[:_SHORT]}"
            self._step("store")
            if place.is_dir():
                exchange(stage, place)  # installed before; the copy is known to be whole
            else:
                stage.rename(place)
            sync_folder(self._store)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        return next(s for s in self._stored(name) if s.path == place)

    def _check(self, path: Path, said: Path | None = None) -> Bundle:
        """Every hash and every golden window."""
        try:
            bundle = Bundle.open(path)
            self._step("score its golden windows")
            self._prove(bundle)
        except AsdError as error:
            raise BundleError(error.what.replace(str(path), str(said or path)), error.remedy) from error
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"{said or path}: cannot be scored ({type(error).__name__}: {error})") from error
        return bundle

    def _activate(self, wanted: Stored) -> Stored:
        name = wanted.name
        self._adopt(name)
        active, history = self._active(name), self._history(name)
        if active != wanted.short:
            self._step("note what is to be in use")
            history.write([*history.upto(active), Use(wanted.short, iso_utc(self._utc()))])
            self._turn_to(wanted)
        return next(s for s in self._stored(name) if s.active)

    def _turn_to(self, wanted: Stored) -> None:
        place = self.folder / wanted.name
        if place.exists() and not place.is_symlink():
            raise BundleError(f"{place} is in the way and is no bundle", "Move it away yourself.")
        link = self._link_to(wanted.path)
        self._step("activate")
        link.rename(place)
        sync_folder(self.folder)

    def _adopt(self, name: str) -> None:
        """Take a bundle into the store that somebody put in place by hand, so that it can be gone back to."""
        place = self.folder / name
        if not place.is_dir() or self._active(name) is not None:
            return
        try:
            digest = Bundle.open(place.resolve()).digest[:_SHORT]
            if not (self._store / f"{name}-{digest}").exists():
                stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self._store))
                import_bundle(place.resolve(), stage, self._caps)
                self._step("keep what was put there by hand")
                stage.rename(self._store / f"{name}-{digest}")
                sync_folder(self._store)
        except BundleError as error:
            raise BundleError(
                f"{place} is in the way and cannot be kept: {error.what}", "Move it away yourself."
            ) from error
        link = self._link_to(self._store / f"{name}-{digest}")
        if place.is_symlink():
            link.rename(place)
        else:
            exchange(link, place)
            self._step("remove the folder that was put there by hand")
            shutil.rmtree(link)
        sync_folder(self.folder)

    def _link_to(self, target: Path) -> Path:
        # Beside the place that it is for: a link's target is taken from where it lies.
        link = self.folder / f".{_LINK}{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(target.relative_to(self.folder))
        return link

    def _active(self, name: str) -> str | None:
        """Short digest of the stored bundle in use."""
        place = self.folder / name
        target = place.parent / place.readlink() if place.is_symlink() else place
        match = _STORED.match(target.name)
        return match["short"] if match and target.parent == self._store and target.is_dir() else None

    def _stored(self, name: str) -> list[Stored]:
        active, history = self._active(name), self._history(name)
        found = []
        for entry in _names(self._store):
            match = _STORED.match(entry)
            path = self._store / entry
            if match and match["name"] == name and path.is_dir() and not path.is_symlink():
                short = match["short"]
                found.append(Stored(name, short, path, short == active, _installed(path), history.last_use(short)))
        return found

    def _history(self, name: str) -> History:
        return History(self._store / f"{name}.json")

    def _one(self, name: str, short: str) -> Stored:
        _check_name(name)
        stored = self._stored(name)
        fits = [s for s in stored if s.short.startswith(short[:_SHORT])]
        if len(fits) != 1:
            known = ", ".join(s.short for s in stored) or "none"
            raise BundleError(f"{len(fits)} installed bundles {name!r} begin with {short!r}", f"Installed: {known}.")
        return fits[0]

    def _clear(self) -> None:
        """Remove what a change that was ended halfway left behind; nobody else works here, for the lock is held."""
        for path in (*self._store.glob(f"{_STAGE}*"), *self.folder.glob(f".{_LINK}*")):
            if path.is_symlink():
                path.unlink()
            else:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            for made in (self.folder, self._store):
                if not made.exists():
                    made.mkdir(parents=True)
                    made.chmod(0o755)  # whatever the umask: the service's user reads it
            handle = os.open(self._store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            remedy = "Run this as the service's user or with sudo."
            raise BundleError(f"{self._store} cannot be written ({error.strerror})", remedy) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise BundleError(f"{self.folder}: another command changes it", "Wait for it to end.") from error
        except OSError as error:
            raise BundleError(f"{self.folder} cannot be changed ({error.strerror})") from error
        finally:
            os.close(handle)


def _check_name(name: str) -> None:
    if not NAME.match(name):
        raise UsageError(f"{name!r} cannot name a bundle here", "A --name has letters, digits, '_' and '-'.")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return []


def _short(folder: Path) -> str:
    try:
        return Bundle.open(folder).digest[:_SHORT]
    except BundleError:
        return ""


def _installed(folder: Path) -> float:
    try:
        return (folder / "manifest.json").stat().st_mtime
    except OSError:
        return 0.0
