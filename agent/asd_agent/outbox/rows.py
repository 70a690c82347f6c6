"""What waits in the outbox: messages, their rows in the database, and which of them go when there are too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asd_agent.clock import Clock

HISTORY_ROWS = 1000
"""Sent rows that are kept to be looked at."""
RECORDS = 10_000
"""Commands that the log keeps: so many that were carried out, by their senders' ids, and so many others."""
OWN_ID = "~"
"""What an id begins with that the agent made up itself; senders cannot choose such a one."""
MEMORY_ROWS = 1000
"""Rows that may wait in memory while the disk refuses."""


@dataclass(frozen=True)
class Message:
    """What is to be sent.

    Attributes:
        id: Unique; a second message of the same id is passed over.
        topic: Where to.
        payload: JSON.
        vital: Dropped last.
    """

    id: str
    topic: str
    payload: str
    vital: bool = False


@dataclass(frozen=True)
class Row:
    """A message that waits.

    Attributes:
        key: Its place in the order; None while it is in memory.
        message: What is to be sent.
        stored_utc: When it was handed over, by the wall clock.
        stored_monotonic: The same by the monotonic clock of `boot_id`.
        boot_id: Names the boot.
    """

    key: int | None
    message: Message
    stored_utc: float
    stored_monotonic: float
    boot_id: str

    @property
    def durable(self) -> bool:
        """Whether it lies on disk."""
        return self.key is not None

    def age(self, clock: Clock) -> float:
        """Seconds since it was handed over; across a reboot by the wall clock."""
        if self.boot_id == clock.boot_id:
            return max(0.0, clock.monotonic() - self.stored_monotonic)
        return max(0.0, clock.utc() - self.stored_utc)


@dataclass(frozen=True)
class Record:
    """A command in the log.

    Attributes:
        id: The sender's; unique.
        request: What was asked, as text.
        done: Whether it took effect.
        text: The answer.
    """

    id: str
    request: str
    done: bool
    text: str


COLUMNS = "key,id,topic,payload,vital,stored_utc,stored_monotonic,boot_id"


def row_of(values: tuple[Any, ...]) -> Row:
    """The row that a query for `COLUMNS` found."""
    key, id_, topic, payload, vital, utc, monotonic, boot_id = values[:8]
    return Row(key, Message(id_, topic, payload, bool(vital)), utc, monotonic, boot_id)


def insert(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Append rows in their order; one whose id is there already is passed over."""
    db.executemany(
        "INSERT OR IGNORE INTO outbox(id, topic, payload, vital, stored_utc, stored_monotonic, boot_id)"
        " VALUES(?, ?, ?, ?, ?, ?, ?)",
        [
            (m.id, m.topic, m.payload, int(m.vital), r.stored_utc, r.stored_monotonic, r.boot_id)
            for r in rows
            for m in (r.message,)
        ],
    )


def insert_record(db: sqlite3.Connection, record: Record, utc: float) -> None:
    """Log a command; the oldest of its kind beyond the bound go.

    A flood of refused ones must not push out those that were carried out: a copy of one is known by its entry.
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
    """Drop the oldest waiting rows beyond the bound, vital ones last; returns how many. Old sent ones go as well."""
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
        " (SELECT key FROM outbox WHERE sent_utc IS NOT NULL ORDER BY key DESC LIMIT 1 OFFSET ?)",
        (HISTORY_ROWS,),
    )
    return excess


def bounded(rows: list[Row]) -> tuple[list[Row], int]:
    """At most `MEMORY_ROWS` rows in their order, the oldest that are not vital dropped first; and how many were."""
    excess = max(0, len(rows) - MEMORY_ROWS)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].message.vital, i))
    gone = set(order[:excess])
    return [r for i, r in enumerate(rows) if i not in gone], excess
