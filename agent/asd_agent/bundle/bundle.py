"""Bundles on disk: read with every hash checked, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from asd_agent.bundle.manifest import ARITHMETIC_VERSION, SCHEMA_VERSION, Condition, Manifest
from asd_agent.errors import BundleError

Arrays = dict[str, npt.NDArray[Any]]
MANIFEST = "manifest.json"
SCORERS = "scorers.npz"
GOLDEN = "golden.npz"
SITE = "site"
"""The domain that is calibrated on the spot; a bundle is exported without it."""
_EXPORT_AGAIN = "Copy or export the bundle again."


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory; graphs stay on disk until a session needs them.

    Attributes:
        path: Its folder.
        manifest: What it holds.
        scorers: The arrays of scorers.npz.
        digest: SHA-256 of manifest.json, which names every other file's: the bundle's identity.
    """

    path: Path
    manifest: Manifest
    scorers: Arrays
    digest: str

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read a bundle and check every file of it.

        Raises:
            BundleError: A file is missing, unlisted, altered, a link, or made for another version.
        """
        if not path.is_dir():
            raise BundleError(f"{path}: no such bundle", "Give the folder that holds its manifest.json.")
        raw = _read(path, MANIFEST)
        manifest = _parse(path, raw)
        _check_files(path, manifest)
        return cls(path, manifest, load_arrays(path / SCORERS), hashlib.sha256(raw).hexdigest())

    def condition(self, section: str, domain: str) -> Condition:
        """The condition of a section and domain.

        Raises:
            BundleError: The bundle has no such section or domain.
        """
        found = self.manifest.condition(section, domain)
        if found is None:
            there = ", ".join(sorted(f"{c.section}/{c.domain}" for c in self.manifest.conditions))
            raise BundleError(f"{self.path}: has no section {section!r} in domain {domain!r}", f"It has: {there}.")
        return found

    def domains(self, section: str, domain: str) -> list[str]:
        """The domains to score a section under: both that it has when `domain` is `auto`.

        Raises:
            BundleError: The bundle lacks what is asked for.
        """
        if domain == "auto":
            found = [c.domain for c in self.manifest.conditions if c.section == section and c.domain != SITE]
            if found:
                return sorted(found)
            domain = "source"
        return [self.condition(section, domain).domain]

    def golden(self) -> Arrays:
        """The golden windows and the scores they must give."""
        return load_arrays(self.path / GOLDEN)


def write_bundle(path: Path, manifest: Manifest, arrays: dict[str, Arrays], graphs: dict[str, Path]) -> Bundle:
    """Write a bundle beside its place and move it there in one step.

    Args:
        path: Its folder; an older bundle there is replaced, and kept until the new one stands.
        manifest: Without `files`, which are filled in here.
        arrays: Name of each npz file and its arrays.
        graphs: Name of each graph inside the bundle and the file to copy.

    Raises:
        BundleError: There is something else than a bundle in its place.
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


def load_arrays(path: Path) -> Arrays:
    """The arrays of an npz file; pickled objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
            if not all(isinstance(a, np.ndarray) for a in arrays.values()):
                raise ValueError("an entry is no array")  # noqa: TRY301 - one kind of error
            return arrays
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path}: not readable as plain arrays", _EXPORT_AGAIN) from error


def save_arrays(path: Path | IO[bytes], arrays: Arrays) -> None:
    """Write an npz file whose bytes depend on its content alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for key in sorted(arrays):
            with file.open(zipfile.ZipInfo(f"{key}.npy"), "w") as entry:
                np.lib.format.write_array(entry, np.asarray(arrays[key]), allow_pickle=False)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{path / name}: cannot be read ({error.strerror})", _EXPORT_AGAIN) from error


def _parse(path: Path, raw: bytes) -> Manifest:
    try:
        data = json.loads(raw)
        version = data["schema_version"], data["arithmetic_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path / MANIFEST}: is no manifest", _EXPORT_AGAIN) from error
    if version[0] != SCHEMA_VERSION or version[1] != ARITHMETIC_VERSION:
        raise BundleError(
            f"{path}: made for schema {version[0]} and arithmetic {version[1]}, "
            f"this agent reads {SCHEMA_VERSION} and {ARITHMETIC_VERSION}",
            "Upgrade the agent or export the bundle again.",
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise BundleError(f"{path / MANIFEST}: {where}: {first['msg']}", _EXPORT_AGAIN) from error


def _check_files(path: Path, manifest: Manifest) -> None:
    root = path.resolve()
    present = set()
    for entry in path.rglob("*"):
        name = entry.relative_to(path).as_posix()
        if entry.is_symlink():
            raise BundleError(f"{entry}: is a link", "A bundle holds regular files alone. " + _EXPORT_AGAIN)
        if entry.is_file() and name != MANIFEST:
            present.add(name)
    for name in manifest.files:
        inside = (root / name).resolve()
        if root not in inside.parents:
            raise BundleError(f"{path}: its manifest points outside, at {name!r}", _EXPORT_AGAIN)
    for needed in (SCORERS, GOLDEN):
        if needed not in manifest.files:
            raise BundleError(f"{path}: its manifest lists no {needed}", _EXPORT_AGAIN)
    for name in sorted(set(manifest.files) - present):
        raise BundleError(f"{path / name}: is missing", _EXPORT_AGAIN)
    for name in sorted(present - set(manifest.files)):
        raise BundleError(f"{path / name}: is not listed in the manifest", "Remove it or export the bundle again.")
    for name, digest in manifest.files.items():
        if file_digest(path / name) != digest:
            raise BundleError(f"{path / name}: differs from what was exported (SHA-256)", _EXPORT_AGAIN)
