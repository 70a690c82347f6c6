"""Cursors of readers beside MQTT: the rows that each has dealt with, in a table of its own.

Rows that a reader still needs stay stored after a broker has acknowledged them; each reader bounds its own backlog.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

READ_BY_PEOPLE = "(topic LIKE '%/alert' OR topic LIKE '%/event')"
"""Rows that notifications are made from; answers to commands are none."""


def prepare(db: sqlite3.Connection, names: Collection[str]) -> None:
    """Begin the cursors of new readers behind the newest row, and remove those of readers that are gone."""
    marks = ",".join("?" * len(names))
    db.execute(f"DELETE FROM cursor WHERE name NOT IN ({marks})", tuple(names))  # noqa: S608
    newest = "coalesce((SELECT seq FROM sqlite_sequence WHERE name='outbox'), 0)"
    db.executemany(f"INSERT OR IGNORE INTO cursor(name, key) SELECT ?, {newest}", [(name,) for name in names])


def move(db: sqlite3.Connection, name: str, key: int, ahead: Collection[int]) -> None:
    """Set a cursor."""
    db.execute("INSERT OR REPLACE INTO cursor VALUES(?, ?, ?)", (name, key, json.dumps(sorted(ahead))))
