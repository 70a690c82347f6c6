"""The locks: complete for every Python and machine, as pyproject.toml asks, and refused when a hash differs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rigs.waiting import PATIENCE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WHOLE = {"trainer", "cluster", "dev"}
ENVIRONMENTS = [(python, machine) for python in ("3.10", "3.11", "3.12", "3.13") for machine in ("x86_64", "aarch64")]
BUILD_OF_ITS_OWN = LOCKS / "also-allowed.txt"


@cache
def entries(path: Path) -> tuple[str, ...]:
    text = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    return tuple(text.splitlines())


def admits(marker: Marker | None, python: str, machine: str, extra: str = "") -> bool:
    about = {"python_version": python, "python_full_version": f"{python}.1", "platform_machine": machine}
    return marker is None or marker.evaluate({**about, "sys_platform": "linux", "extra": extra})


def locked(name: str, python: str, machine: str) -> dict[str, str]:
    """Return the versions that a lock gives in one environment; two versions of one package fail."""
    found: dict[str, str] = {}
    for entry in entries(LOCKS / f"{name}.txt"):
        requirement = Requirement(entry.partition(" --hash=")[0].strip())
        if admits(requirement.marker, python, machine):
            assert requirement.name not in found, f"{name}: {requirement.name} twice on {python} {machine}"
            [pin] = requirement.specifier
            found[requirement.name] = pin.version
    return found


def wanted(extra: str) -> list[Requirement]:
    """Return what an extra names, with the extras of the project that it includes."""
    found = []
    for row in EXTRAS[extra]:
        requirement = Requirement(row)
        if requirement.name == PROJECT["name"]:
            found += [r for part in requirement.extras for r in wanted(part)]
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("path", sorted(LOCKS.glob("*.txt")), ids=lambda p: p.stem)
def test_every_entry_is_one_version_with_hashes_and_without_an_address(path: Path) -> None:
    assert "://" not in path.read_text(encoding="utf-8")
    for entry in entries(path):
        assert re.match(r"[a-z0-9.-]+==\S+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


@pytest.mark.parametrize("extra", ["", *EXTRAS])
@pytest.mark.parametrize(("python", "machine"), ENVIRONMENTS)
def test_a_lock_holds_what_the_project_asks_for(extra: str, python: str, machine: str) -> None:
    asked = [Requirement(row) for row in PROJECT["dependencies"]] if extra in {"", *WHOLE} else []
    asked += wanted(extra) if extra else []
    there = locked(extra or "agent", python, machine)
    if extra not in {"", *WHOLE}:
        there = {**locked("agent", python, machine), **there}
    for requirement in asked:
        if not admits(requirement.marker, python, machine):
            continue
        name = canonicalize_name(requirement.name)
        assert name in there, f"`make lock`: {requirement} is not in locks/{extra or 'agent'}.txt"
        assert there[name] in requirement.specifier, f"`make lock`: {requirement} and {there[name]}"


@pytest.mark.parametrize(("python", "machine"), ENVIRONMENTS)
def test_the_locks_agree_on_versions(python: str, machine: str) -> None:
    versions: dict[str, set[str]] = {}
    for path in LOCKS.glob("*.txt"):
        if path != BUILD_OF_ITS_OWN:
            for name, version in locked(path.stem, python, machine).items():
                versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def wheel(folder: Path, name: str) -> Path:
    """Write the smallest wheel that pip installs."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "answer = 42\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return path


def test_a_file_whose_hash_differs_is_refused(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True, timeout=PATIENCE)
    package = wheel(tmp_path, "trusted")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()

    def install(digest: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "one.txt").write_text(f"trusted==1.0 \\\n    --hash=sha256:{digest}\n")
        quiet = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(
            [ROOT / "scripts" / "install-locked", tmp_path / "env", "one"],
            env={**quiet, **offline, "LOCKS": str(tmp_path)},
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    changed = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    refused = install(changed)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert not list((tmp_path / "env").glob("lib/*/site-packages/trusted*"))
    assert install(digest).returncode == 0
    assert list((tmp_path / "env").glob("lib/*/site-packages/trusted.py"))


def test_an_unknown_lock_is_named() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "install-locked", ".", "nothing"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no lock nothing: agent" in done.stderr
