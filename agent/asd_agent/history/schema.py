"""The database of the history: its tables, and opening it for writing or reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from asd_agent.errors import AsdError

VERSION = 1
SCHEMA = """
CREATE TABLE monitors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- Windows of hours that are not over: one block of all monitors a commit, which costs one page and not one a monitor.
CREATE TABLE recent (id INTEGER PRIMARY KEY, first_utc REAL NOT NULL, last_utc REAL NOT NULL, data BLOB NOT NULL);
-- The same once their hour is over, one block a monitor and hour; hours are counted since 1970.
CREATE TABLE windows (monitor INTEGER NOT NULL, hour INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (monitor, hour)) WITHOUT ROWID;
CREATE TABLE minutes (monitor INTEGER NOT NULL, hour INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (monitor, hour)) WITHOUT ROWID;
CREATE TABLE hours (monitor INTEGER NOT NULL, hour INTEGER NOT NULL, low REAL, mean REAL, high REAL, level REAL,
  scored INTEGER NOT NULL, over INTEGER NOT NULL, invalid INTEGER NOT NULL, suspended INTEGER NOT NULL,
  PRIMARY KEY (monitor, hour)) WITHOUT ROWID;
CREATE TABLE alarms (alarm_id TEXT PRIMARY KEY, monitor TEXT NOT NULL, machine TEXT NOT NULL, section TEXT NOT NULL,
  domain TEXT NOT NULL, bundle TEXT NOT NULL, raised_utc REAL NOT NULL, cleared_utc REAL, ended_utc REAL,
  acknowledged_utc REAL, severity INTEGER NOT NULL, peak_score REAL, level REAL, text TEXT NOT NULL,
  evidence_id TEXT, test INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX alarms_by_time ON alarms (raised_utc);
CREATE TABLE events (id TEXT PRIMARY KEY, alarm_id TEXT, monitor TEXT NOT NULL, utc REAL NOT NULL, event TEXT NOT NULL,
  seq INTEGER NOT NULL, state TEXT NOT NULL, severity INTEGER NOT NULL, by TEXT, note TEXT, verdict TEXT, label TEXT)
  WITHOUT ROWID;
CREATE INDEX events_by_alarm ON events (alarm_id, utc);
CREATE INDEX events_by_time ON events (utc);
"""


class HistoryError(AsdError):
    """The history cannot be opened or read."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the database for the one writer, and create it where there is none.

    Raises:
        sqlite3.Error: It is damaged, of another version, or the disk refuses.
    """
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # The history may lose its last minute in a power cut; it must not cost the flash a sync for every commit.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            found = VERSION
        if found != VERSION:
            msg = f"the history has version {found}, this agent writes {VERSION}"
            raise sqlite3.DatabaseError(msg)  # noqa: TRY301 - the connection is closed below
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database read-only, also while the service writes it.

    Raises:
        HistoryError: There is none, or it cannot be read.
    """
    if not path.is_file():
        raise HistoryError(
            f"{path}: there is no history", "The service writes it; see `history.enabled` in agent.yaml."
        )
    remedy = "Run this as the service's user or with sudo."
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: cannot be read ({error})", remedy) from error
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found != VERSION:
            raise HistoryError(f"{path}: has version {found}, this agent reads {VERSION}", "Upgrade the agent.")
        yield connection
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: cannot be read ({error})", remedy) from error
    finally:
        connection.close()
