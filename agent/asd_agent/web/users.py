"""People who may log in: names, roles and scrypt hashes of passwords, in one JSON file."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from asd_agent.errors import AsdError, ConfigError
from asd_agent.small_files import read_small
from asd_agent.whole_files import whole_file

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[\w.@-]{1,32}\Z")
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 256
MOST_USERS = 200
_N, _R, _P = 2**15, 8, 1
"""Cost of scrypt: 32 MiB and about a tenth of a second on a small box (RFC 7914; OWASP's smaller setting)."""
_MEMORY = 64 << 20


@dataclass(frozen=True)
class User:
    """A person who has logged in, or the one person of a page without users.

    Attributes:
        name: As in the log of actions.
        role: `viewer` reads, `operator` also acts on alarms, `admin` also changes levels and reads the log.
    """

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Return whether this person has the rights of a role."""
        return ROLES.index(self.role) >= ROLES.index(role)


class UserFile:
    """The file of users, read again whenever it has changed.

    Args:
        path: Its place; without it there are no users.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._entries: dict[str, dict[str, str]] = {}
        # Compared against where there is no such user, so that the time of an answer names nobody.
        self._nobody = _hash(secrets.token_urlsafe(16))

    def names(self) -> list[str]:
        """Return the names of all users.

        Raises:
            ConfigError: The file cannot be read.
        """
        return sorted(self._load())

    def role(self, name: str) -> Role | None:
        """Return a user's role; None where there is no such user."""
        entry = self._load().get(name)
        return None if entry is None else _role(entry["role"])

    def check(self, name: str, password: str) -> User | None:
        """Return the user where the password is right; takes a tenth of a second on purpose."""
        entry = self._load().get(name)
        right = _matches(password[:LONGEST_PASSWORD], entry["password"] if entry else self._nobody)
        return User(name, _role(entry["role"])) if right and entry else None

    def put(self, name: str, password: str, role: Role) -> None:
        """Add a user or change one.

        Raises:
            AsdError: Name or password cannot be used, or the file cannot be written.
        """
        if not NAME.match(name):
            raise AsdError(f"{name[:40]!r} is no name", "Use 1 to 32 letters, digits, '.', '_', '-' or '@'.")
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise AsdError(
                f"the password has {len(password)} characters", f"Use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}."
            )
        self._write({**self._load(), name: {"role": role, "password": _hash(password)}})

    def remove(self, name: str) -> None:
        """Remove a user.

        Raises:
            AsdError: There is no such user, or the file cannot be written.
        """
        entries = dict(self._load())
        if entries.pop(name, None) is None:
            raise AsdError(f"there is no user {name[:40]!r}", f"There are: {', '.join(sorted(entries)) or 'none'}.")
        self._write(entries)

    def _load(self) -> dict[str, dict[str, str]]:
        try:
            status = self._path.stat()
            mark = (status.st_mtime_ns, status.st_size)
            if mark != self._read_at:
                self._entries = _entries(self._path)
                self._read_at = mark
        except FileNotFoundError:
            self._entries, self._read_at = {}, None
        except OSError as error:
            raise ConfigError(
                f"{self._path} cannot be read ({error.strerror})", "Give the page's user the right to read it."
            ) from error
        return self._entries

    def _write(self, entries: dict[str, dict[str, str]]) -> None:
        if len(entries) > MOST_USERS:
            raise AsdError(f"more than {MOST_USERS} users", "Remove those that are no longer needed.")
        try:
            before = self._path.stat() if self._path.exists() else self._path.parent.stat()
            with whole_file(self._path, 0o640) as stage:
                stage.write_text(json.dumps({"users": entries}, indent=1) + "\n", encoding="utf-8")
                stage.chmod(0o640)
                if os.geteuid() == 0:
                    os.chown(stage, before.st_uid, _group(before.st_gid))
        except OSError as error:
            raise AsdError(f"{self._path} cannot be written ({error.strerror})", "Run this with sudo.") from error


def _entries(path: Path) -> dict[str, dict[str, str]]:
    try:
        users = json.loads(read_small(path))["users"]
        entries = {str(n): {"role": str(e["role"]), "password": str(e["password"])} for n, e in users.items()}
        if all(e["role"] in ROLES and NAME.match(n) for n, e in entries.items()):
            return entries
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ConfigError(f"{path} is damaged", "Remove it and run `asd-agent web password` for each user again.")


def _role(text: str) -> Role:
    return next((r for r in ROLES if r == text), "viewer")


def _group(default: int) -> int:
    """Return the group of the page's own user, where the unit has made it."""
    import grp

    try:
        return grp.getgrnam("asd-web").gr_gid
    except KeyError:
        return default


def _hash(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_scrypt(password, salt, _N, _R, _P).hex()}"


def _matches(password: str, stored: str) -> bool:
    try:
        kind, n, r, p, salt, wanted = stored.split("$")
        found = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(found, bytes.fromhex(wanted))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)
