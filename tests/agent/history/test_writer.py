"""The history's thread: batches, damage, a full disk; nothing of it reaches the service as an exception."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asd_agent.clock import SystemClock
from asd_agent.history import writer as module
from asd_agent.history.reader import open_history
from asd_agent.history.store import AlarmRow, Limits
from asd_agent.history.writer import HistoryWriter
from rigs.history import START, windows
from rigs.waiting import wait_until


def writer(path: Path, every: float = 0.02) -> HistoryWriter:
    made = HistoryWriter(path, Limits(window_days=1e5, minute_days=1e5), SystemClock(), every)
    made.start()
    return made


def test_what_was_handed_over_is_stored_at_the_latest_when_it_stops(tmp_path):
    one = writer(tmp_path / "h", every=3600.0)
    for window in windows([1.0, 2.0, 3.0]):
        one.add_window("fan", window)
    assert one.stop(60.0)
    with open_history(tmp_path / "h") as history:
        assert len(history.windows("fan", START - 10, START + 60)) == 3
    assert one.stats.commits == 1


def test_an_alarm_is_stored_without_waiting_for_the_minute(tmp_path):
    one = writer(tmp_path / "h", every=3600.0)
    one.add_rows(AlarmRow("a", "fan", "fan", "00", "source", "d", START, 100, "text"))
    wait_until(lambda: one.stats.commits == 1, "the history did not change")
    with open_history(tmp_path / "h") as history:
        assert [a["alarm_id"] for a in history.alarms()] == ["a"]
    assert one.stop(60.0)


def damage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("spoil", [damage, make_newer])
def test_a_file_that_is_damaged_or_of_a_newer_version_is_set_aside_and_a_new_one_begins(tmp_path, spoil):
    spoil(tmp_path / "h")
    one = writer(tmp_path / "h")
    one.add_window("fan", windows([1.0])[0])
    wait_until(lambda: one.stats.commits == 1, "the history did not change")
    assert one.stop(60.0)
    assert (tmp_path / "h.damaged").exists()
    with open_history(tmp_path / "h") as history:
        assert history.monitors() == ["fan"]


def test_where_nothing_can_be_written_windows_wait_within_a_bound_and_it_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WAITING_ITEMS", 5)
    one = writer(tmp_path / "missing" / "h")
    for window in windows([1.0] * 8):
        one.add_window("fan", window)
    wait_until(lambda: one.stats.fault != "", "the history did not change")
    assert "cannot be written" in one.stats.fault
    assert one.stats.waiting <= 5
    assert one.stats.lost == 3
    (tmp_path / "missing").mkdir()
    assert one.stop(60.0)  # the last commit finds the folder
    assert one.stats.fault == ""


def test_a_file_that_is_deleted_under_the_writer_begins_anew(tmp_path):
    one = writer(tmp_path / "h")
    one.add_window("fan", windows([1.0])[0])
    wait_until(lambda: one.stats.commits == 1, "the history did not change")
    for path in tmp_path.iterdir():
        path.unlink()
    one.add_window("fan", windows([2.0])[0])
    wait_until(lambda: one.stats.commits == 2, "the history did not change")
    assert one.stop(60.0)
    with sqlite3.connect(tmp_path / "h") as db:
        assert db.execute("SELECT count(*) FROM recent").fetchone() == (1,)
