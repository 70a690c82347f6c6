"""The SQLite file behind the outbox: opened so that what is committed survives a power cut, set aside when damaged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

VERSION = 1
CORRUPT_FILES_KEPT = 3
SCHEMA = """
CREATE TABLE outbox(
  key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, payload TEXT NOT NULL,
  vital INTEGER NOT NULL, stored_utc REAL NOT NULL, stored_monotonic REAL NOT NULL, boot_id TEXT NOT NULL,
  sent_utc REAL);
CREATE INDEX waiting ON outbox(key) WHERE sent_utc IS NULL;
CREATE INDEX sent ON outbox(key) WHERE sent_utc IS NOT NULL;
CREATE TABLE monitor(name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE retained(topic TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE command(
  key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, utc REAL NOT NULL, request TEXT NOT NULL,
  done INTEGER NOT NULL, text TEXT NOT NULL);
"""

OUTBOX_NAME = "outbox.sqlite3"
"""Below `paths.state`."""


class DamagedError(Exception):
    """The file is no database, or not one that this version reads."""


def open_database(path: Path) -> sqlite3.Connection:
    """Open or make the file.

    Raises:
        DamagedError: It cannot be read as what it should be.
        sqlite3.OperationalError, OSError: The disk is full, read-only or gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        _prepare(db)
    except (DamagedError, sqlite3.Error) as error:
        db.close()
        if is_damage(error):
            raise DamagedError(str(error)) from error
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        with transaction(db):
            for statement in filter(None, map(str.strip, SCHEMA.split(";"))):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")
        return
    if version != VERSION:
        raise DamagedError(f"its version is {version}, this program reads {VERSION}")
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(str(verdict))


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file's content is broken, and not that the disk refuses."""
    return isinstance(error, DamagedError) or type(error) is sqlite3.DatabaseError


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of what is written inside, on disk when this ends; or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def set_aside(path: Path, utc: float) -> Path:
    """Rename a damaged file, with its journal, to `<name>.corrupt-<time>`; the oldest such files beyond three go.

    Returns:
        Where it lies now.
    """
    stamp = datetime.fromtimestamp(utc, tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    target, turn = path.with_name(f"{path.name}.corrupt-{stamp}"), 1
    while target.exists():
        turn += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{turn}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    kept = [p for p in path.parent.glob(f"{path.name}.corrupt-*") if not p.name.endswith(("-wal", "-shm"))]
    for old in sorted(kept, key=lambda p: p.stat().st_mtime)[:-CORRUPT_FILES_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return target
