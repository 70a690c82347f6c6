"""Bundles on disk: read with every file checked, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_agent.bundle.arrays import Arrays, load_arrays, save_arrays
from asd_agent.bundle.files import (
    COPY_AGAIN,
    GOLDEN,
    LIMITS,
    MANIFEST,
    SCORERS,
    BundleLimits,
    bundle_files,
    check_name,
    file_digest,
    read_regular,
)
from asd_agent.bundle.graph import MOST_FIELDS, check_graph
from asd_agent.bundle.manifest import Condition, Manifest
from asd_agent.bundle.manifest_reader import read_manifest
from asd_agent.errors import BundleError

SITE = "site"
"""Domain that is calibrated on the box; the trainer exports a bundle without it."""
ADOPTED = ".adopt-"
"""First letters of the link that replaces a folder which somebody put in the registry by hand."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory; graphs stay on disk until a session needs them.

    Attributes:
        path: Its folder, links resolved: a link that turns to another bundle does not mix two of them.
        manifest: Its manifest.
        scorers: Arrays of scorers.npz.
        digest: SHA-256 of manifest.json, which lists the SHA-256 of every other file: the bundle's identity.
    """

    path: Path
    manifest: Manifest
    scorers: Arrays
    digest: str

    @classmethod
    def open(cls, path: Path, limits: BundleLimits = LIMITS) -> Bundle:
        """Read a bundle and check every file of it.

        Args:
            path: Its folder.
            limits: Largest sizes.

        Raises:
            BundleError: A file is missing, unlisted, altered, too large, a link or no regular file; or the bundle is
                made for another version.

        Example:
            >>> from asd_agent.demo.assets import demo_bundle
            >>> bundle = Bundle.open(demo_bundle())
            >>> bundle.manifest.machine, [(c.section, c.domain) for c in bundle.manifest.conditions[:2]]
            ('fan', [('00', 'source'), ('00', 'target')])
        """
        root = _folder(path)
        sizes = bundle_files(root, limits)
        raw = read_regular(root / MANIFEST, limits.manifest_bytes)
        manifest = read_manifest(root / MANIFEST, raw)
        _check_files(root, manifest, set(sizes), limits)
        _check_golden(root, manifest, limits)
        return cls(root, manifest, load_arrays(root / SCORERS, limits.scorers_bytes), hashlib.sha256(raw).hexdigest())

    def condition(self, section: str, domain: str) -> Condition:
        """Return the condition of a section and domain.

        Raises:
            BundleError: The bundle has no such section or domain.
        """
        found = self.manifest.condition(section, domain)
        if found is None:
            known = ", ".join(sorted(f"{c.section}/{c.domain}" for c in self.manifest.conditions))
            raise BundleError(f"{self.path}: has no section {section!r} in domain {domain!r}", f"It has: {known}.")
        return found

    def domains(self, section: str, domain: str) -> list[str]:
        """Return the domains to score a section under: with `auto`, source and target where it has them.

        Raises:
            BundleError: The bundle has no such section or domain.
        """
        if domain == "auto":
            found = [c.domain for c in self.manifest.conditions if c.section == section and c.domain != SITE]
            if found:
                return sorted(found)
            domain = "source"
        return [self.condition(section, domain).domain]

    def golden(self) -> Arrays:
        """Return the golden windows and the scores that they must give.

        Raises:
            BundleError: They cannot be read.
        """
        return load_arrays(self.path / GOLDEN, LIMITS.golden_bytes)


def write_bundle(path: Path, manifest: Manifest, arrays: dict[str, Arrays], graphs: dict[str, Path]) -> Bundle:
    """Write a bundle beside its place and move it there by a rename.

    Args:
        path: Its folder; an older bundle there is replaced, and kept until the new one is whole.
        manifest: Without `files`, which are filled in here.
        arrays: Arrays of each npz file by its name.
        graphs: File to copy for each graph by its name in the bundle.

    Raises:
        BundleError: Something other than a bundle is in its place.
    """
    if path.exists() and not (path / MANIFEST).is_file():
        raise BundleError(f"{path}: exists and is no bundle", "Choose another place or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        for name, graph in graphs.items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(graph, stage / name)
        for name, content in arrays.items():
            save_arrays(stage / name, content)
        names = sorted(p.relative_to(stage).as_posix() for p in stage.rglob("*") if p.is_file())
        data = manifest.model_dump(mode="json") | {"files": {n: file_digest(stage / n) for n in names}}
        whole = Manifest.model_validate(data)
        (stage / MANIFEST).write_text(json.dumps(whole.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        stage.chmod(0o755)
        old = path.with_name(f".{path.name}-old-{os.getpid()}")
        if path.exists():
            path.rename(old)
        stage.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return Bundle.open(path)


def _folder(path: Path) -> Path:
    """Resolve a bundle's folder, or the link that is about to replace it (`BundleRegistry`)."""
    adopted = path.parent / f"{ADOPTED}{path.name}"
    try:
        root = (adopted if not path.exists() and adopted.exists() else path).resolve()
        if root.is_dir():
            return root
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no path has
        pass
    raise BundleError(f"{path}: no such bundle", "Give the folder that holds its manifest.json.")


def _check_files(root: Path, manifest: Manifest, present: set[str], limits: BundleLimits) -> None:
    for name in manifest.files:
        if name.startswith("/") or ".." in name.split("/"):
            raise BundleError(f"{root}: its manifest points outside, at {name!r}", COPY_AGAIN)
        check_name(root, name)
    listed = set(manifest.files)
    for needed in (SCORERS, GOLDEN):
        if needed not in listed:
            raise BundleError(f"{root}: its manifest lists no {needed}", COPY_AGAIN)
    for name in sorted(listed - present):
        raise BundleError(f"{root / name}: is missing", COPY_AGAIN)
    for name in sorted(present - listed - {MANIFEST}):
        raise BundleError(f"{root / name}: is not listed in the manifest", "Remove it or export the bundle again.")
    fields = MOST_FIELDS
    for name, digest in manifest.files.items():
        raw = read_regular(root / name, limits.file_bytes)
        if hashlib.sha256(raw).hexdigest() != digest:
            raise BundleError(f"{root / name}: differs from what was exported (SHA-256)", COPY_AGAIN)
        if name not in (SCORERS, GOLDEN):
            fields -= check_graph(root / name, raw, fields)


def _check_golden(root: Path, manifest: Manifest, limits: BundleLimits) -> None:
    """Refuse golden windows that leave a condition out: its scores would never be compared."""
    places = load_arrays(root / GOLDEN, limits.golden_bytes, names=("sections", "domains"))
    pairs = set(zip(*(places.get(key, np.empty(0)).ravel().tolist() for key in ("sections", "domains")), strict=False))
    missing = [f"section {c.section}, {c.domain}" for c in manifest.conditions if (c.section, c.domain) not in pairs]
    if missing:
        what = "; ".join(missing[:4]) + ("; …" if len(missing) > 4 else "")
        raise BundleError(f"{root}: holds no golden window of {what}", "Export the bundle again.")
