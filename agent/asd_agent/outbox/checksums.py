"""Checksums of stored rows and states, so that a bit that a disk has flipped is never sent as truth."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from typing import Any

CHECKED = "id,topic,payload,vital,stored_utc,stored_monotonic,boot_id,sent_utc"
"""Columns of a row that its checksum covers, in this order."""
DAMAGED_KEPT = 100
"""Damaged rows that are kept for a person to look into."""
STATES = "SELECT m.name, m.state, c.crc FROM monitor m LEFT JOIN monitor_check c ON c.name=m.name"
"""States of all monitors, each with its checksum or null."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS damaged(key INTEGER PRIMARY KEY, utc REAL NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS monitor_check(name TEXT PRIMARY KEY, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS monitor_unchecked AFTER INSERT ON monitor
  BEGIN DELETE FROM monitor_check WHERE name=new.name; END
"""
"""Tables beside those of version 1. The trigger serves an earlier program, which stores states without a checksum."""


def checksum(*values: Any) -> int:
    """Return the CRC-32 of values as SQLite stores them.

    Examples:
        >>> checksum("a", 1) == checksum("a", 1.0)
        False
    """
    crc = 0
    for value in values:
        if isinstance(value, str):
            content = b"s" + value.encode("utf-8", "surrogateescape")
        elif isinstance(value, float):
            content = b"f" + struct.pack("<d", value)
        else:
            content = repr(value).encode()
        crc = zlib.crc32(content + b"\0", crc)
    return crc


def decode(content: bytes) -> str:
    """Return a stored text; bytes that are no UTF-8 stop no reading, since their row fails its checksum."""
    return content.decode("utf-8", "surrogateescape")


def prepare(db: sqlite3.Connection) -> None:
    """Add what checksums need to an open file; an earlier program ignores it, and its rows have no checksum."""
    db.text_factory = decode
    db.create_function("checksum", -1, checksum, deterministic=True)
    for statement in _SCHEMA.strip().split(";\n"):
        db.execute(statement)
    if "crc" not in {row[1] for row in db.execute("PRAGMA table_info(outbox)")}:
        db.execute("ALTER TABLE outbox ADD COLUMN crc INTEGER")


def set_rows_aside(db: sqlite3.Connection, utc: float) -> int:
    """Move every row that fails its checksum to the table `damaged`; return their number."""
    wrong = [
        (row[0], repr(row[1:]))
        for row in db.execute(f"SELECT key,{CHECKED},crc FROM outbox WHERE crc IS NOT NULL")  # noqa: S608
        if checksum(*row[1:-1]) != row[-1]
    ]
    if wrong:
        content = [(key, utc, text.encode("utf-8", "backslashreplace").decode()) for key, text in wrong]
        db.executemany("INSERT OR REPLACE INTO damaged VALUES(?,?,?)", content)
        db.executemany("DELETE FROM outbox WHERE key=?", [(key,) for key, _ in wrong])
        db.execute(
            "DELETE FROM damaged WHERE key NOT IN (SELECT key FROM damaged ORDER BY utc DESC, key DESC LIMIT ?)",
            (DAMAGED_KEPT,),
        )
    return len(wrong)
