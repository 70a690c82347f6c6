from __future__ import annotations

import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from asd_agent.outbox.schema import MEMORY_ROWS, Message
from asd_agent.outbox.store import Outbox

TOPIC = "asd/box/monitor/fan/alert"


def message(n, topic=TOPIC, *, vital=False):
    return Message(f"id-{n}", topic, json.dumps({"n": n, "late": None}), vital)


def drain(outbox, held=()):
    ids = []
    while (row := outbox.next(held)) is not None:
        ids.append(row.message.id)
        outbox.done(row)
    return ids


def full(outbox):
    """Let SQLite itself report a full disk."""
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages}")


def freed(outbox):
    outbox._db.execute("PRAGMA max_page_count=1000000")


def test_messages_leave_in_order_and_only_when_done(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.commit("fan", "{}", [message(1), message(2)])
    outbox.commit("fan", "{}", [message(3)])
    assert outbox.next() == outbox.next()
    assert outbox.depth() == 3
    assert drain(outbox) == ["id-1", "id-2", "id-3"]
    assert outbox.depth() == 0


def test_state_and_messages_survive_a_restart_together(tmp_path, clock):
    first = Outbox(tmp_path / "o.db", clock)
    assert first.commit("fan", '{"seq":1}', [message(1)])
    second = Outbox(tmp_path / "o.db", clock)
    assert second.load("fan") == '{"seq":1}'
    assert drain(second) == ["id-1"]


def test_a_killed_process_loses_nothing_that_was_committed(tmp_path):
    program = """
import sys
from pathlib import Path
from asd_agent.clock import SystemClock
from asd_agent.outbox.store import Outbox
from asd_agent.outbox.schema import Message
outbox = Outbox(Path(sys.argv[1]), SystemClock())
for n in range(100000):
    outbox.commit("fan", str(n), [Message(f"id-{n}", "t", "{}")])
    print(n, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program, tmp_path / "o.db"], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) >= 20:
            child.send_signal(signal.SIGKILL)
            break
    last = max([int(line), *(int(x) for x in child.stdout.read().split())])
    child.wait()
    child.stdout.close()
    from asd_agent.clock import SystemClock

    outbox = Outbox(tmp_path / "o.db", SystemClock())
    ids = drain(outbox)
    assert ids == [f"id-{n}" for n in range(len(ids))]
    assert len(ids) >= last + 1
    assert outbox.load("fan") == str(len(ids) - 1)


def test_a_state_without_messages_waits_a_minute_for_the_disk(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    other = sqlite3.connect(tmp_path / "o.db")
    read = "SELECT state FROM monitor"
    outbox.commit("fan", "1")
    assert outbox.load("fan") == "1"
    assert other.execute(read).fetchall() == []
    clock.now += 61
    outbox.commit("fan", "2")
    assert other.execute(read).fetchall() == [("2",)]
    outbox.commit("fan", "3")
    outbox.close()
    assert other.execute(read).fetchall() == [("3",)]
    other.close()


def test_the_same_id_is_stored_once(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(1)])
    outbox.append([message(1), message(2)])
    assert drain(outbox) == ["id-1", "id-2"]


def test_a_held_topic_lets_the_others_pass_in_their_own_order(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(1, "a"), message(2, "b"), message(3, "a"), message(4, "b")])
    assert drain(outbox, held=["a"]) == ["id-2", "id-4"]
    assert drain(outbox) == ["id-1", "id-3"]


def test_when_full_the_oldest_go_first_and_alarms_last_and_it_is_counted_and_said(tmp_path, clock, caplog):
    outbox = Outbox(tmp_path / "o.db", clock, max_rows=4)
    outbox.append([message(1, vital=True), message(2), message(3), message(4, vital=True)])
    with caplog.at_level(logging.WARNING):
        outbox.append([message(5), message(6, vital=True)])
        outbox.append([message(7, vital=True), message(8, vital=True)])
    assert sum("full" in r.message for r in caplog.records) == 1
    assert outbox.dropped == 4
    assert drain(outbox) == ["id-4", "id-6", "id-7", "id-8"]
    outbox.append([message(9)])
    (notice,) = outbox.notices()
    assert (notice.event, notice.count) == ("drops", 4)
    assert Outbox(tmp_path / "o.db", clock).dropped == 4


def test_a_damaged_file_is_set_aside_and_said(tmp_path, clock, caplog):
    path = tmp_path / "o.db"
    path.write_bytes(b"this is no database" * 1000)
    outbox = Outbox(path, clock)
    (aside,) = tmp_path.glob("o.db.corrupt-20270115T080000Z")
    assert aside.read_bytes().startswith(b"this is no database")
    assert [n.event for n in outbox.notices()] == ["outbox_reset"]
    assert "set aside" in caplog.text
    assert outbox.commit("fan", "{}", [message(1)])
    assert drain(outbox) == ["id-1"]


def test_damage_found_while_running_costs_the_rows_but_not_the_states(tmp_path, clock):
    path = tmp_path / "o.db"
    outbox = Outbox(path, clock)
    outbox.commit("pump", '{"seq":5}')
    outbox.commit("fan", '{"seq":700}', [message(n) for n in range(300)])
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    outbox._db.execute("PRAGMA cache_size=0")
    outbox._db.execute("PRAGMA shrink_memory")
    assert outbox.commit("fan", '{"seq":701}', [message(1000)])
    assert [n.event for n in outbox.notices()] == ["outbox_reset"]
    assert len(list(tmp_path.glob("o.db.corrupt-*Z"))) == 1
    outbox.close()
    again = Outbox(path, clock)
    assert (again.load("fan"), again.load("pump")) == ('{"seq":701}', '{"seq":5}')
    assert drain(again) == ["id-1000"]


def test_a_file_of_a_newer_version_is_set_aside_and_alarm_states_go_on(tmp_path, clock):
    path = tmp_path / "o.db"
    newer = Outbox(path, clock)
    newer.commit("fan", '{"seq":7}', [message(0)])
    newer.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    older = Outbox(path, clock)
    assert "99" in older.notices()[0].text
    assert older.load("fan") == '{"seq":7}'
    assert len(list(tmp_path.glob("o.db.corrupt-*Z"))) == 1


def test_only_the_three_newest_damaged_files_are_kept(tmp_path, clock):
    path = tmp_path / "o.db"
    for _ in range(6):
        path.write_bytes(b"not a database" * 99)
        Outbox(path, clock).close()
        clock.wall += 60
    assert len(list(tmp_path.glob("o.db.corrupt-*"))) == 3


def test_on_a_full_disk_messages_leave_from_memory_and_say_so(tmp_path, clock, caplog):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(0)])
    full(outbox)
    big = Message("big", TOPIC, "x" * 20_000)
    with caplog.at_level(logging.ERROR):
        assert not outbox.commit("fan", "2", [big])
        assert not outbox.commit("fan", "3", [message(2)])
    assert len(caplog.records) == 1
    assert "full" in outbox.fault
    assert outbox.depth() == 3
    row = outbox.next(["none"])
    assert row.durable
    outbox.done(row)
    row = outbox.next()
    assert (row.message.id, row.durable) == ("big", False)


def test_once_the_disk_is_free_what_waited_in_memory_is_stored_in_its_order(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(0)])
    full(outbox)
    outbox.commit("fan", "2", [Message("big", TOPIC, "x" * 20_000), message(1)])
    freed(outbox)
    assert outbox.commit("fan", "3", [message(2)])
    assert outbox.fault is None
    again = Outbox(tmp_path / "o.db", clock)
    assert drain(again) == ["id-0", "big", "id-1", "id-2"]
    assert again.load("fan") == "3"


def test_a_message_sent_from_memory_is_not_sent_again_once_stored(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    full(outbox)
    outbox.append([Message("big", TOPIC, "x" * 20_000), message(1)])
    flying = outbox.next()
    freed(outbox)
    assert outbox.flush()
    outbox.done(flying)
    assert drain(outbox) == ["id-1"]


def test_memory_is_bounded_too(tmp_path, clock):
    folder = tmp_path / "file"
    folder.write_text("no folder")
    outbox = Outbox(folder / "o.db", clock)
    for n in range(MEMORY_ROWS + 5):
        assert not outbox.append([message(n, vital=n == 0)])
    assert outbox.depth() == MEMORY_ROWS
    assert outbox.dropped == 5
    assert drain(outbox)[:2] == ["id-0", "id-6"]


def test_age_runs_on_monotonic_time_and_across_a_reboot_on_the_wall_clock(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(1)])
    clock.now += 5
    clock.wall += 1e6
    assert outbox.oldest_seconds() == 5
    clock.boot_id = "boot-2"
    assert outbox.oldest_seconds() == pytest.approx(1e6)
    clock.wall -= 1e9
    assert outbox.oldest_seconds() == 0


def test_history_tells_what_was_sent(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(1), message(2)])
    outbox.done(outbox.next())
    assert [(m.id, sent) for m, sent in outbox.history()] == [("id-2", False), ("id-1", True)]


def test_history_is_bounded(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("asd_agent.outbox.schema.HISTORY_ROWS", 3)
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.append([message(n) for n in range(10)])
    drain(outbox)
    assert [m.id for m, _ in outbox.history()] == ["id-9", "id-8", "id-7"]


def test_retained_topics_are_remembered_over_a_restart(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    outbox.remember_retained(["a", "b", "a"])
    outbox.forget_retained("a")
    assert Outbox(tmp_path / "o.db", clock).retained() == {"b"}


def test_threads_may_commit_and_drain_at_once(tmp_path, clock):
    outbox = Outbox(tmp_path / "o.db", clock)
    threads = [
        threading.Thread(
            target=lambda t=t: [outbox.commit(str(t), str(n), [message(f"{t}-{n}", str(t))]) for n in range(30)]
        )
        for t in range(3)
    ]
    for thread in threads:
        thread.start()
    seen = []
    while any(t.is_alive() for t in threads) or outbox.depth():
        seen += drain(outbox)
    assert [i for i in seen if i.startswith("id-1-")] == [f"id-1-{n}" for n in range(30)]
    assert len(seen) == 90
