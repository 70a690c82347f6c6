"""Read-only access to the outbox file from another process."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from asd_agent.alarm import AlarmState
from asd_agent.errors import AsdError


class OutboxReadError(AsdError):
    """The outbox file cannot be read."""


@contextlib.contextmanager
def open_outbox(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for reading.

    Raises:
        OutboxReadError: There is none, or it cannot be read.
    """
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)
    except sqlite3.Error as error:
        raise OutboxReadError(
            f"{path} cannot be read: {error}", "Has the service run with this configuration?"
        ) from error
    try:
        yield db
    except sqlite3.Error as error:
        raise OutboxReadError(
            f"{path} cannot be read: {error}", "Run this as the service's user or with sudo"
        ) from error
    finally:
        db.close()


def states(db: sqlite3.Connection) -> dict[str, AlarmState]:
    """Return the stored state of every monitor, by name; unreadable ones are left out."""
    found = {}
    for name, text in db.execute("SELECT name, state FROM monitor ORDER BY name"):
        with contextlib.suppress(ValidationError):
            found[str(name)] = AlarmState.model_validate_json(text)
    return found


def alerts(db: sqlite3.Connection, limit: int) -> list[tuple[str, dict[str, Any], bool]]:
    """Return the newest alerts, newest first: monitor, payload, and whether a broker has acknowledged it."""
    query = "SELECT topic, payload, sent_utc FROM outbox WHERE topic LIKE '%/alert' ORDER BY key DESC LIMIT ?"
    return [
        (str(topic).split("/")[-2], json.loads(payload), sent is not None)
        for topic, payload, sent in db.execute(query, (limit,))
    ]


def commands(db: sqlite3.Connection, limit: int) -> list[tuple[float, str, bool, str]]:
    """Return the newest commands of the log, newest first: seconds since 1970, request, whether done, and answer."""
    rows = db.execute("SELECT utc, request, done, text FROM command ORDER BY key DESC LIMIT ?", (limit,))
    return [(float(utc), str(request), bool(done), str(text)) for utc, request, done, text in rows]
