"""Check of the outbox file: that it can be read, and how much waits in it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.outbox.reader import OutboxReadError, open_outbox
from asd_agent.outbox.schema import OUTBOX_NAME, VERSION

OLD_SECONDS = 600.0
"""A broker that is restarted or updated is back within this."""


def counts(state: Path) -> dict[str, float]:
    """Return counts of the outbox: `waiting`, `oldest_seconds`, `sent`, `commands`.

    Raises:
        OutboxReadError: It cannot be read.
    """
    with open_outbox(state / OUTBOX_NAME) as db:
        waiting, oldest = db.execute("SELECT count(*), min(stored_utc) FROM outbox WHERE sent_utc IS NULL").fetchone()
        sent = db.execute("SELECT count(*) FROM outbox WHERE sent_utc IS NOT NULL").fetchone()[0]
        commands = db.execute("SELECT count(*) FROM command").fetchone()[0]
    age = round(max(0.0, time.time() - oldest), 1) if oldest else 0.0
    return {"waiting": waiting, "oldest_seconds": age, "sent": sent, "commands": commands}


def check_outbox(state: Path) -> list[Finding]:
    """Check the file in the state folder; one that is not there yet is created by the service."""
    path = state / OUTBOX_NAME
    found = []
    aside = sorted(state.glob(f"{OUTBOX_NAME}.corrupt-*"))
    if aside:
        text = f"it was damaged before and set aside as {aside[-1].name}; alerts in it were not sent"
        remedy = "Test the disk or card, then remove that file"
        found.append(warning("outbox", text, remedy))
    if not path.exists():
        return [*found, ok("outbox", f"{path} is created when the service starts")]
    try:
        _verify(path)
        held = counts(state)
    except (OutboxReadError, sqlite3.Error, ValueError) as error:
        text = f"{path} is damaged ({_reason(error)})"
        remedy = "Restart the service: it sets the file aside and begins a new one; test the disk or card"
        return [*found, problem("outbox", text, remedy)]
    text = f"{held['waiting']:.0f} alerts wait, the oldest for {held['oldest_seconds']:.0f} s"
    if held["waiting"] and held["oldest_seconds"] > OLD_SECONDS:
        return [*found, warning("outbox", text, "They are sent when the broker accepts them: see 'broker' below")]
    return [*found, ok("outbox", text)]


def _verify(path: Path) -> None:
    with open_outbox(path) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise ValueError(f"version {version} instead of {VERSION}")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise ValueError(str(verdict))


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error)
