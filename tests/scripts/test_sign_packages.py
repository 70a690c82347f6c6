"""Signatures of a release: those of the key that was given, over every file of it, or none."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigs.waiting import PATIENCE

SIGN = Path(__file__).resolve().parents[2] / "scripts" / "sign-packages"


@pytest.fixture(scope="module")
def signing_key() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as home:  # short, as gpg's agent has a socket in it
        env = {**os.environ, "GNUPGHOME": home}
        gpg = ["gpg", "--batch", "-q", "--passphrase", "", "--pinentry-mode", "loopback"]
        subprocess.run([*gpg, "--quick-gen-key", "a test", "ed25519"], env=env, check=True, timeout=PATIENCE)
        done = subprocess.run(
            [*gpg, "--armor", "--export-secret-keys"], env=env, check=True, timeout=PATIENCE, capture_output=True
        )
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=True, timeout=PATIENCE)
        yield done.stdout.decode()


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    content = b"a package"
    (tmp_path / "a.deb").write_bytes(content)
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  a.deb\n")
    return tmp_path


def sign(folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "SIGNING_KEY": key}
    return subprocess.run([SIGN, folder], env=env, check=False, capture_output=True, text=True, timeout=PATIENCE)


def verify(folder: Path) -> int:
    """Verify as a user does, with the public key alone."""
    with tempfile.TemporaryDirectory() as home:
        script = "gpg -q --import signing-key.asc && gpg --verify SHA256SUMS.asc SHA256SUMS; status=$?"
        script += "; gpgconf --kill all; exit $status"
        env = {**os.environ, "GNUPGHOME": home}
        return subprocess.run(["sh", "-c", script], cwd=folder, env=env, check=False, timeout=PATIENCE).returncode


def test_a_signature_holds_until_the_sums_change(dist: Path, signing_key: str) -> None:
    done = sign(dist, signing_key)
    assert done.returncode == 0, done.stderr
    assert "PRIVATE" not in (dist / "signing-key.asc").read_text()
    assert verify(dist) == 0
    (dist / "SHA256SUMS").write_text("0  a.deb\n")
    assert verify(dist) != 0


@pytest.mark.parametrize(("key", "fault"), [("", "holds no key"), ("nonsense", "is no key")])
def test_without_a_key_nothing_is_signed(dist: Path, key: str, fault: str) -> None:
    done = sign(dist, key)
    assert done.returncode == 1
    assert fault in done.stderr
    assert not (dist / "SHA256SUMS.asc").exists()


def test_a_file_that_changed_is_not_signed(dist: Path, signing_key: str) -> None:
    (dist / "a.deb").write_bytes(b"another")
    assert "is of other files" in sign(dist, signing_key).stderr
    assert not (dist / "SHA256SUMS.asc").exists()
