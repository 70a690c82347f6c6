"""Registry of installed bundles: which one of a name is in use, which were before it, and every change in one step.

`<bundles>/<name>` is a link to `<bundles>/.store/<name>-<first 12 digits of the digest>`. A bundle is copied beside the
others, checked, moved into the store, and only then the link is replaced by a rename. A change that is cut off leaves
the bundle in use that was; the next change removes what it left behind.

A check of a bundle may take minutes and runs what came from outside, so no lock is held meanwhile. Each copy in
progress has a lock of its own, which keeps it from being removed as a leftover.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from asd_agent.bundle.activations import Activation
from asd_agent.bundle.bundle import ADOPTED, Bundle
from asd_agent.bundle.files import LIMITS, BundleLimits
from asd_agent.bundle.importer import import_bundle
from asd_agent.bundle.registry_folder import (
    DIGITS,
    LINK,
    STORED,
    InstalledBundle,
    RegistryFolder,
    check_bundle_name,
    digest_of,
    installed_at,
    names_in,
    short_digest_of,
)
from asd_agent.clock import iso_utc
from asd_agent.config.base import NAME
from asd_agent.errors import AsdError, BundleError
from asd_agent.whole_files import sync_folder

__all__ = ["BundleRegistry", "InstalledBundle"]

CheckBundle = Callable[[Bundle], object]
"""Raises an AsdError unless the bundle gives its golden scores here."""


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
        self.folder, self._place = folder, RegistryFolder(folder)
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
            check_bundle_name(name)
        with self._place.new_stage() as stage:
            self._step("copy")
            import_bundle(source, stage, self._limits)
            self._step("check every file")
            bundle = self._check(stage, shown=source)
            name = name or bundle.manifest.name
            check_bundle_name(name)
            with self._place.locked():
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
        found = self._place.one(name, short)
        self._check(found.path)
        with self._place.locked():
            return self._activate(self._place.one(name, found.short))

    def rollback(self, name: str) -> InstalledBundle:
        """Put the bundle to use again that was in use before the present one.

        Raises:
            BundleError: There was none, or it is not here any more, or does not pass; nothing has changed.
        """
        check_bundle_name(name)
        active, found = self._before(name)
        self._check(found.path)
        with self._place.locked():
            if self._before(name) != (active, found):
                raise BundleError(f"bundle {name!r}: another command changed what is in use", "Call it again.")
            # Recorded after the link is replaced: the list is read up to the bundle in use, whichever that is.
            self._link(found)
            self._step("record what is in use")
            activations = self._place.activations(name)
            entries = activations.before_rollback(active, found.short)
            activations.write([*entries, Activation(found.short, iso_utc(self._utc()))])
            return self._place.active(name) or found

    def remove(self, name: str, short: str) -> Path:
        """Delete an installed bundle that is not in use; returns the path where it was.

        Raises:
            BundleError: There is none, or it is in use.
        """
        with self._place.locked():
            found = self._place.one(name, short)
            if found.active:
                raise BundleError(f"bundle {name} {found.short} is in use", "Put another one to use first.")
            self._place.delete(found.path)
            return found.path

    def listed(self) -> list[InstalledBundle]:
        """Return every bundle in the registry by name, the newest first."""
        names = {match["name"] for match in map(STORED.match, names_in(self._place.store)) if match}
        names |= {n for n in names_in(self.folder) if NAME.match(n)}
        bundles: list[InstalledBundle] = []
        for name in sorted(names):
            stored = self._place.stored(name)
            place = self.folder / name
            if place.is_dir() and not any(s.active for s in stored):
                stored.append(InstalledBundle(name, short_digest_of(place), place, True, installed_at(place), None))
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
        short = digest[:DIGITS]
        copies = [s for s in self._place.copies(name) if s.short == short]
        self._step("store")
        for stored in copies:
            if digest_of(stored.path) == digest:
                return stored
        number = max((s.copy for s in copies), default=-1) + 1
        place = self._place.store / (f"{name}-{short}.{number}" if number else f"{name}-{short}")
        stage.rename(place)
        sync_folder(self._place.store)
        replaces_active = any(s.active for s in copies)
        return InstalledBundle(name, short, place, replaces_active, installed_at(place), None, number)

    def _activate(self, wanted: InstalledBundle) -> InstalledBundle:
        name = wanted.name
        self._adopt(name)
        active, activations = self._place.active(name), self._place.activations(name)
        if active is None or active.short != wanted.short:
            self._step("record what is to be in use")
            entries = activations.up_to(active.short if active else None)
            activations.write([*entries, Activation(wanted.short, iso_utc(self._utc()))])
        if active is None or active.path != wanted.path:
            self._link(wanted)
            for damaged in self._place.copies(name):
                if damaged.short == wanted.short and damaged.path != wanted.path:
                    self._place.delete(damaged.path)
        return self._place.active(name) or wanted

    def _link(self, wanted: InstalledBundle) -> None:
        place = self.folder / wanted.name
        if place.exists() and not place.is_symlink():
            raise BundleError(f"{place}: is no bundle and is in the way", "Move it away yourself.")
        link = self._place.new_link(f"{LINK}{os.getpid()}", wanted.path)
        self._step("activate")
        link.rename(place)
        sync_folder(self.folder)

    def _adopt(self, name: str) -> None:
        """Move a bundle into the store that somebody put in place by hand, so that a rollback finds it.

        No call of POSIX replaces a folder with a link in one step. So the link is made beside the folder first, and
        `Bundle.open` follows it while the folder is gone and the link is not renamed yet.
        """
        place = self.folder / name
        if not place.is_dir() or self._place.active(name) is not None:
            return
        try:
            digest = Bundle.open(place, self._limits).digest
            with self._place.new_stage(locked=True) as stage:
                self._step("keep the bundle that was put there by hand")
                import_bundle(place.resolve(), stage, self._limits)
                kept = self._keep(stage, name, digest).path
        except BundleError as error:
            message = f"{place}: is in the way and cannot be kept: {error.what}"
            raise BundleError(message, "Move it away yourself.") from error
        link = self._place.new_link(f"{ADOPTED}{name}", kept)
        sync_folder(self.folder)
        if place.is_symlink():
            link.rename(place)
        else:
            with self._place.new_stage(locked=True) as stage:
                place.rename(stage / name)
                self._step("replace the folder that was put there by hand")
                link.rename(place)
        sync_folder(self.folder)

    def _before(self, name: str) -> tuple[str | None, InstalledBundle]:
        active = self._place.active(name)
        short = active.short if active else None
        before = self._place.activations(name).before(short)
        found = next((s for s in self._place.stored(name) if s.short == before), None)
        if found is None:
            remedy = "`asd-agent bundle list` shows what is here."
            raise BundleError(f"no bundle {name!r} is here that was in use before {short or 'now'}", remedy)
        return short, found
