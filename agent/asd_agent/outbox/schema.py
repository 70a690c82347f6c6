"""The SQLite file of the outbox: its tables and rows, opened so that a commit survives a power cut."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asd_agent.clock import Clock
from asd_agent.outbox import checksums

OUTBOX_NAME = "outbox.sqlite3"
"""File name below `paths.state`."""
VERSION = 1
CORRUPT_FILES_KEPT = 3
"""Damaged files that are kept for a person to look into; more would fill the disk of a failing card."""
HISTORY_ROWS = 1000
"""Acknowledged rows that are kept for `asd-agent alerts history`: weeks of alerts in about a megabyte."""
RECORDS = 10_000
"""Commands that the log keeps: so many that were applied, by their senders' ids, and so many others."""
OWN_ID = "~"
"""First character of the ids that the agent makes itself; a sender cannot choose one (see `Command.id`)."""
MEMORY_ROWS = 1000
"""Rows that may wait in memory while the disk refuses: under two megabytes of alerts."""

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
CURSORS = """CREATE TABLE IF NOT EXISTS cursor(
  name TEXT PRIMARY KEY, key INTEGER NOT NULL, ahead TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID"""
"""Rows that each reader beside MQTT has dealt with: all up to `key`, and those of the list `ahead`.

A table of its own, which an earlier version ignores."""
COLUMNS = "key,id,topic,payload,vital,stored_utc,stored_monotonic,boot_id"


class DamagedError(Exception):
    """The file is no database, or not one that this version reads."""


@dataclass(frozen=True)
class Message:
    """A message to publish.

    Attributes:
        id: Unique; a second message of the same id is ignored.
        topic: MQTT topic.
        payload: JSON.
        vital: Dropped last when the outbox is full.
    """

    id: str
    topic: str
    payload: str
    vital: bool = False


@dataclass(frozen=True)
class OutboxRow:
    """A message that waits for its acknowledgement.

    Attributes:
        key: Place in the order; None while the row is in memory only.
        message: The message.
        stored_utc: Time at which it was handed over, by the wall clock.
        stored_monotonic: The same by the monotonic clock of `boot_id`.
        boot_id: Boot that `stored_monotonic` counts from.
    """

    key: int | None
    message: Message
    stored_utc: float
    stored_monotonic: float
    boot_id: str

    @property
    def durable(self) -> bool:
        """True where the row is on disk."""
        return self.key is not None

    def age(self, clock: Clock) -> float:
        """Return the seconds since it was handed over; across a reboot by the wall clock."""
        if self.boot_id == clock.boot_id:
            return max(0.0, clock.monotonic() - self.stored_monotonic)
        return max(0.0, clock.utc() - self.stored_utc)


@dataclass(frozen=True)
class CommandRecord:
    """An entry of the command log.

    Attributes:
        id: The sender's id, or an own one; unique.
        request: The request, as text.
        done: Whether it took effect.
        text: The answer.
    """

    id: str
    request: str
    done: bool
    text: str


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create the file.

    Raises:
        DamagedError: It is no outbox of this version.
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
    db.execute("PRAGMA synchronous=FULL")  # NORMAL may lose the last commits of a WAL in a power cut
    _prepare_tables(db)
    with transaction(db):
        checksums.prepare(db)


def _prepare_tables(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        with transaction(db):
            for statement in filter(None, map(str.strip, SCHEMA.split(";"))):
                db.execute(statement)
            db.execute(CURSORS)
            db.execute(f"PRAGMA user_version={VERSION}")
        return
    if version != VERSION:
        raise DamagedError(f"its version is {version}, this program reads {VERSION}")
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(str(verdict))
    db.execute(CURSORS)


def is_damage(error: Exception) -> bool:
    """Return whether an error means that the file's content is broken, and not that the disk refuses."""
    # SQLite raises the base class for "malformed" and "not a database", a subclass for everything else.
    return isinstance(error, DamagedError) or type(error) is sqlite3.DatabaseError


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit all statements of the block to disk, or none of them."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def set_aside(path: Path, utc: float) -> Path:
    """Rename a damaged file and its journal to `<name>.corrupt-<time>`, and remove the oldest such files beyond three.

    Returns:
        The new path.
    """
    stamp = datetime.fromtimestamp(utc, tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    target, number = path.with_name(f"{path.name}.corrupt-{stamp}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    kept = [p for p in path.parent.glob(f"{path.name}.corrupt-*") if not p.name.endswith(("-wal", "-shm"))]
    for old in sorted(kept, key=lambda p: p.stat().st_mtime)[:-CORRUPT_FILES_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return target


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open the file where the disk lets nothing be written: all that its main file holds, and the journal where it can.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    place = f"file:{quote(str(path))}?mode=ro"
    for uri in (place, f"{place}&immutable=1"):
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            db.execute("SELECT count(*) FROM monitor").fetchone()
        except sqlite3.Error:
            db.close()
            if uri.endswith("immutable=1"):
                raise
        else:
            db.text_factory = checksums.decode
            return db
    raise AssertionError("unreachable")


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes a file from another of the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def copy_to(db: sqlite3.Connection, path: Path) -> None:
    """Write all that an open database holds to a new file.

    Raises:
        sqlite3.Error: The disk refuses, or the source is damaged.
    """
    target = sqlite3.connect(path, timeout=5.0)
    try:
        db.backup(target)
    finally:
        target.close()


def row_of(values: tuple[Any, ...]) -> OutboxRow:
    """Return the row that a query for `COLUMNS` found."""
    key, id_, topic, payload, vital, utc, monotonic, boot_id = values[:8]
    return OutboxRow(key, Message(id_, topic, payload, bool(vital)), utc, monotonic, boot_id)


def insert(db: sqlite3.Connection, rows: Iterable[OutboxRow]) -> None:
    """Append rows in their order; one whose id exists already is ignored."""
    db.executemany(
        "INSERT OR IGNORE INTO outbox(id, topic, payload, vital, stored_utc, stored_monotonic, boot_id, crc)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        [(*values, checksums.checksum(*values, None)) for values in map(_values, rows)],
    )


def _values(row: OutboxRow) -> tuple[Any, ...]:
    m = row.message
    utc, monotonic = float(row.stored_utc), float(row.stored_monotonic)
    return m.id, m.topic, m.payload, int(m.vital), utc, monotonic, row.boot_id


def insert_states(db: sqlite3.Connection, states: Iterable[tuple[str, str]]) -> None:
    """Store states by monitor, each with its checksum."""
    for name, state in states:
        db.execute("INSERT OR REPLACE INTO monitor VALUES(?,?)", (name, state))
        db.execute("INSERT INTO monitor_check VALUES(?,?)", (name, checksums.checksum(name, state)))


def mark_sent(db: sqlite3.Connection, keys: Iterable[int], utc: float) -> None:
    """Record that a broker has acknowledged these rows."""
    columns = checksums.CHECKED.removesuffix(",sent_utc")
    db.executemany(
        f"UPDATE outbox SET sent_utc=?, crc=CASE WHEN crc IS NULL THEN NULL ELSE checksum({columns},?) END WHERE key=?",  # noqa: S608
        [(utc, utc, key) for key in keys],
    )


def insert_record(db: sqlite3.Connection, record: CommandRecord, utc: float) -> None:
    """Log a command, and remove the oldest entries of its kind beyond the limit.

    Applied and refused commands are counted apart: a flood of refused ones must not push out an applied one, since a
    second copy of that is recognised by its entry.
    """
    values = (record.id, utc, record.request, int(record.done), record.text)
    db.execute("INSERT OR IGNORE INTO command(id, utc, request, done, text) VALUES(?, ?, ?, ?, ?)", values)
    alike = "GLOB" if record.id.startswith(OWN_ID) else "NOT GLOB"
    db.execute(
        f"DELETE FROM command WHERE id {alike} '{OWN_ID}*' AND key <="  # noqa: S608
        f" (SELECT key FROM command WHERE id {alike} '{OWN_ID}*' ORDER BY key DESC LIMIT 1 OFFSET ?)",
        (RECORDS,),
    )


def make_room(db: sqlite3.Connection, max_rows: int) -> int:
    """Drop the oldest waiting rows beyond the limit, vital ones last, and acknowledged rows beyond the history's.

    Acknowledged rows that a reader beside MQTT still needs stay; it bounds its own backlog.

    Returns:
        The number of waiting rows dropped.
    """
    waiting = int(db.execute("SELECT count(*) FROM outbox WHERE sent_utc IS NULL").fetchone()[0])
    excess = max(0, waiting - max_rows)
    if excess:
        db.execute(
            "DELETE FROM outbox WHERE key IN"
            " (SELECT key FROM outbox WHERE sent_utc IS NULL ORDER BY vital, key LIMIT ?)",
            (excess,),
        )
        db.execute("INSERT OR IGNORE INTO counter VALUES('dropped',0)")
        db.execute("UPDATE counter SET value=value+? WHERE name='dropped'", (excess,))
    db.execute(
        "DELETE FROM outbox WHERE sent_utc IS NOT NULL AND key <="
        " (SELECT key FROM outbox WHERE sent_utc IS NOT NULL ORDER BY key DESC LIMIT 1 OFFSET ?)"
        " AND NOT (topic NOT LIKE '%/command/result' AND key > coalesce((SELECT min(key) FROM cursor), key))",
        (HISTORY_ROWS,),
    )
    return excess


def limit_memory(rows: list[OutboxRow]) -> tuple[list[OutboxRow], int]:
    """Return at most `MEMORY_ROWS` rows in their order, and the number dropped: the oldest that are not vital first."""
    excess = max(0, len(rows) - MEMORY_ROWS)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].message.vital, i))
    dropped = set(order[:excess])
    return [r for i, r in enumerate(rows) if i not in dropped], excess
