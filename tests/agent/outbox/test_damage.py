"""Disks that flip bits, files that vanish, and disks that refuse: what is lost is named, all else goes on."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from asd_agent.clock import SystemClock
from asd_agent.outbox.schema import Message
from asd_agent.outbox.store import Outbox

TOPIC = "asd/box/monitor/fan/alert"
COLUMNS = ("id", "topic", "payload", "vital", "stored_utc", "stored_monotonic", "boot_id", "sent_utc", "crc")


def state(seq: int) -> str:
    return json.dumps({"seq": seq, "alarm_id": f"a{seq}"})


def fill(path: Path, count: int = 5, clock: SystemClock | None = None) -> Outbox:
    outbox = Outbox(path, clock or SystemClock())
    for seq in range(1, count + 1):
        assert outbox.commit("fan", state(seq), [Message(f"id-{seq}", TOPIC, json.dumps({"seq": seq}))])
    return outbox


def drain(outbox: Outbox) -> list[str]:
    ids = []
    while (row := outbox.next()) is not None:
        ids.append(row.message.id)
        outbox.done(row)
    return ids


def events(outbox: Outbox) -> list[str]:
    return [notice.event for notice in outbox.notices()]


def change(path: Path, statement: str, *values: object) -> None:
    db = sqlite3.connect(path)
    db.create_function("checksum", -1, lambda *_: 0)
    with db:
        db.execute(statement, values)
    db.close()


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("while_running", [False, True])
def test_a_flipped_bit_in_any_column_costs_its_row_and_no_other(tmp_path: Path, column: str, while_running: bool):
    path = tmp_path / "o.db"
    outbox = fill(path)
    if not while_running:
        outbox.close()
    value: object = {"vital": 5, "sent_utc": 3.0, "crc": 17, "stored_utc": 1.5, "stored_monotonic": 2.5}.get(
        column, "x"
    )
    change(path, f"UPDATE outbox SET {column}=? WHERE id='id-3'", value)
    if not while_running:
        outbox = Outbox(path, SystemClock())
    sent = drain(outbox)
    # While it runs, a row that claims to have been sent is looked at with the history, or at the next start.
    history = [m.id for m, _ in outbox.history()]
    assert sent == ["id-1", "id-2", "id-4", "id-5"]
    assert "id-3" not in history
    assert events(outbox) == ["outbox_damaged"]
    assert outbox.damaged == 1
    assert outbox.damage
    assert outbox.load("fan") == state(5)
    outbox.close()
    kept = sqlite3.connect(path).execute("SELECT content FROM damaged").fetchall()
    assert len(kept) == 1


@pytest.mark.parametrize("column", ["payload", "topic", "boot_id"])
def test_bytes_that_are_no_text_cost_their_row_and_no_other(tmp_path: Path, column: str):
    path = tmp_path / "o.db"
    fill(path).close()
    change(path, f"UPDATE outbox SET {column}=CAST(x'ff80fe' AS TEXT) WHERE id='id-2'")
    outbox = Outbox(path, SystemClock())
    assert drain(outbox) == ["id-1", "id-3", "id-4", "id-5"]
    assert outbox.fault is None
    assert events(outbox) == ["outbox_damaged"]


@pytest.mark.parametrize("statement", ["UPDATE monitor SET state='{\"seq\": 4}'", "UPDATE monitor SET state=x'ff00'"])
def test_a_damaged_state_comes_from_the_copy(tmp_path: Path, statement: str):
    path = tmp_path / "o.db"
    fill(path).close()
    crc = sqlite3.connect(path).execute("SELECT crc FROM monitor_check").fetchone()[0]
    change(path, statement)
    change(path, "INSERT OR REPLACE INTO monitor_check VALUES('fan', ?)", crc)  # a flip keeps the old checksum
    outbox = Outbox(path, SystemClock())
    assert outbox.load("fan") == state(5)
    assert events(outbox) == ["outbox_damaged"]
    outbox.close()
    assert Outbox(path, SystemClock()).load("fan") == state(5)


def test_states_that_an_earlier_program_stores_have_no_checksum_and_are_believed(tmp_path: Path):
    path = tmp_path / "o.db"
    fill(path).close()
    change(path, "INSERT OR REPLACE INTO monitor VALUES('fan', ?)", state(9))
    change(
        path,
        "INSERT INTO outbox(id, topic, payload, vital, stored_utc, stored_monotonic, boot_id) VALUES(?,?,?,?,?,?,?)",
        "id-9", TOPIC, "{}", 1, 1.0, 2.0, "b",
    )  # fmt: skip
    outbox = Outbox(path, SystemClock())
    assert outbox.load("fan") == state(9)
    assert drain(outbox)[-1] == "id-9"
    assert events(outbox) == []


@pytest.mark.parametrize("loss", ["deleted", "emptied", "rolled back"])
def test_a_file_that_is_lost_while_the_agent_is_down_is_reported_and_seq_goes_on(tmp_path: Path, loss: str):
    path = tmp_path / "o.db"
    fill(path, 2).close()
    earlier = path.read_bytes()
    fill(path, 5).close()
    if loss == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"" if loss == "emptied" else earlier)
    outbox = Outbox(path, SystemClock())
    assert outbox.load("fan") == state(5)
    assert events(outbox) == ["outbox_reset"]
    outbox.close()
    again = Outbox(path, SystemClock())
    assert again.load("fan") == state(5)
    assert events(again) == []


@pytest.mark.parametrize("loss", ["deleted", "replaced", "emptied by another file"])
def test_a_file_that_vanishes_under_the_agent_is_written_again_and_nothing_is_lost(tmp_path: Path, loss: str):
    path = tmp_path / "o.db"
    outbox = fill(path)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"o.db{suffix}").unlink(missing_ok=True)
    if loss == "replaced":
        fill(tmp_path / "other.db", 1).close()
        (tmp_path / "other.db").rename(path)
    elif loss != "deleted":
        path.touch()
    assert outbox.flush()
    assert events(outbox) == ["outbox_restored"]
    assert outbox.commit("fan", state(6), [Message("id-6", TOPIC, "{}")])
    outbox.close()
    again = Outbox(path, SystemClock())
    assert again.load("fan") == state(6)
    assert drain(again) == [f"id-{n}" for n in range(1, 7)]


@pytest.mark.parametrize("refusal", ["unable to open database file", "attempt to write a readonly database"])
def test_a_start_while_the_disk_refuses_loads_all_and_heals(
    tmp_path: Path, refusal: str, monkeypatch: pytest.MonkeyPatch
):
    """A disk that refuses is provoked by an error of SQLite: root writes to every folder."""
    path = tmp_path / "o.db"
    fill(path).close()

    def refuse(_path: Path) -> None:
        raise sqlite3.OperationalError(refusal)

    with monkeypatch.context() as there:
        there.setattr("asd_agent.outbox.store.open_database", refuse)
        outbox = Outbox(path, SystemClock())
        assert outbox.load("fan") == state(5)
        assert not outbox.commit("fan", state(6), [Message("id-6", TOPIC, "{}")])
        assert drain(outbox) == [f"id-{n}" for n in range(1, 7)]
    assert outbox.flush()
    assert outbox.fault is None
    outbox.close()
    again = Outbox(path, SystemClock())
    assert again.load("fan") == state(6)
    assert drain(again) == []


def test_a_file_opened_for_reading_alone_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "o.db"
    fill(path).close()
    outbox = Outbox(path, SystemClock())
    assert outbox._db is not None
    outbox._db.execute("PRAGMA query_only=1")  # SQLite's answer is that of a file system without writing
    assert not outbox.append([Message("id-6", TOPIC, "{}")])
    assert "readonly" in str(outbox.fault)
    assert outbox.flush()
    assert drain(outbox)[-1] == "id-6"


def test_a_locked_file_is_called_locked(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "o.db"
    outbox = fill(path)
    assert outbox._db is not None
    outbox._db.execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not outbox.append([Message("id-6", TOPIC, "{}")])
    assert "Another program holds the file" in caplog.text
    assert "Free the disk" not in caplog.text
    other.execute("ROLLBACK")
    other.close()
    assert outbox.flush()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": "asd.alarm-states/1", "crc": 1, "states": {"fan": "x"}}']
)
def test_a_copy_that_is_damaged_is_not_believed(tmp_path: Path, content: bytes):
    path = tmp_path / "o.db"
    fill(path).close()
    (tmp_path / "o-states.json").write_bytes(content)
    outbox = Outbox(path, SystemClock())
    assert outbox.load("fan") == state(5)
    assert events(outbox) == []


def test_a_damaged_journal_loses_commits_and_says_so(tmp_path: Path):
    """SQLite drops the end of a journal whose checksum is wrong without a word."""
    path = tmp_path / "o.db"
    fill(path, 2).close()
    outbox = fill(path, 5)
    wal = tmp_path / "o.db-wal"
    whole = wal.read_bytes()
    files = {name: (tmp_path / name).read_bytes() for name in ("o.db", "o-states.json")}
    outbox.close()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    wal.write_bytes(whole[: len(whole) // 2] + os.urandom(len(whole) // 2))
    (tmp_path / "o.db-shm").unlink(missing_ok=True)
    again = Outbox(path, SystemClock())
    assert again.load("fan") == state(5)
    assert events(again) == ["outbox_reset"]
