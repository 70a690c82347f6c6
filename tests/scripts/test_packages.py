"""Packages: the Debian package's own files, refused hashes, licences of what the agent installs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "debian"


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_shell(name: str) -> None:
    subprocess.run(["sh", "-n", DEBIAN / name], check=True)


def test_package_installs_the_locks_it_holds() -> None:
    installed = re.search(r'install-locked "\$prefix/\$release" ([a-z ]+) \|\|', (DEBIAN / "postinst").read_text())
    held = re.search(r"^\tfor lock in ([a-z ]+); do", (ROOT / "scripts/build-deb").read_text(), re.MULTILINE)
    assert installed is not None
    assert held is not None
    assert installed[1] == held[1]


def test_changed_hash_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "thing.txt").write_text(f"thing==1.0 --hash=sha256:{'0' * 64}\n")
    environment = tmp_path / "env" / "bin"
    environment.mkdir(parents=True)
    # The environment's pip, which is this one.
    (environment / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (environment / "python").chmod(0o755)
    run = subprocess.run(
        [ROOT / "scripts/install-locked", tmp_path / "env", "thing"],
        env={"PATH": "/usr/bin:/bin", "LOCKS": str(locks), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "DO NOT MATCH THE HASHES" in run.stderr


def test_licences_are_permissive_and_listed() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/list_licences.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
