"""The stored history: what was committed is found again, hours are packed, and its size stays within its bound."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from asd_agent.history.reader import open_history
from asd_agent.history.schema import HistoryError
from asd_agent.history.store import AlarmRow, Batch, EventRow, HistoryStore, Limits
from rigs.history import START, named, windows

HOUR = 3600.0


def fill(path: Path, hours: int, monitors: int = 1, limits: Limits | None = None, skip: range = range(0)) -> None:
    """Commit hours of windows, a batch a minute."""
    store = HistoryStore(path, limits)
    rng = np.random.default_rng(0)
    for minute in range(60 * hours):
        start = START + 60.0 * minute
        if minute not in skip:
            batch = [
                pair
                for m in range(monitors)
                for pair in named(f"m{m}", windows(rng.random(12).tolist(), start=start, first=12 * minute))
            ]
            store.commit(Batch(windows=batch), start + 60.0)
    store.close()


def test_windows_of_the_running_hour_and_of_packed_hours_are_one_series(tmp_path):
    fill(tmp_path / "h", 3)
    with open_history(tmp_path / "h") as history:
        assert history.monitors() == ["m0"]
        block = history.windows("m0", START, START + 3 * HOUR)
        assert len(block) == 3 * 720
        assert np.all(np.diff(block.rows["index"]) == 1)
        assert len(history.windows("m0", START + HOUR - 30, START + HOUR + 30)) == 12
        series = history.series("m0", START, START + 3 * HOUR)
        assert (series.step_seconds, len(series.utc)) == (60.0, 180)
        assert series.rows["scored"].sum() == 3 * 720
    with sqlite3.connect(tmp_path / "h") as db:
        assert db.execute("SELECT count(*) FROM windows").fetchone() == (2,)


def test_a_gap_stays_a_gap(tmp_path):
    fill(tmp_path / "h", 2, skip=range(30, 75))
    with open_history(tmp_path / "h") as history:
        series = history.series("m0", START, START + 2 * HOUR)
    missing = set(range(120)) - {round((u - START) / 60) for u in series.utc}
    assert missing == set(range(30, 75))


def test_a_long_stretch_is_drawn_from_hours_with_the_extremes_kept(tmp_path):
    fill(tmp_path / "h", 50)
    with open_history(tmp_path / "h") as history:
        coarse = history.series("m0", START, START + 48 * HOUR, points=100)
        fine = history.series("m0", START, START + 48 * HOUR, points=3000)
        years = history.series("m0", START - 700 * 86400, START + 49 * HOUR, points=200)
    assert len(coarse.utc) <= 101
    assert coarse.rows["high"].max() == fine.rows["high"].max()
    assert coarse.rows["scored"].sum() == fine.rows["scored"].sum() == 48 * 720
    assert np.average(coarse.rows["mean"], weights=coarse.rows["scored"]) == pytest.approx(
        np.average(fine.rows["mean"], weights=fine.rows["scored"]), abs=1e-5
    )
    assert years.rows["scored"].sum() == 49 * 720


def test_windows_go_before_minutes_and_both_when_there_is_too_much(tmp_path):
    fill(tmp_path / "h", 60, limits=Limits(window_days=1.0))
    with open_history(tmp_path / "h") as history:
        assert len(history.windows("m0", START, START + 10 * HOUR)) == 0
        assert history.series("m0", START, START + 10 * HOUR).rows["scored"].sum() == 7200
    store = HistoryStore(tmp_path / "h", Limits(max_bytes=200_000))
    store.commit(Batch(), START + 60 * HOUR)
    assert store.bytes <= 200_000
    store.close()


def test_an_alarm_grows_with_its_events_and_keeps_every_verdict(tmp_path):
    store = HistoryStore(tmp_path / "h")
    raised = AlarmRow("a1", "fan", "fan", "00", "source", "d", START, 200, "knocking", level=4.0, peak_score=6.0)
    store.commit(Batch(alarms=[raised]), START)
    cleared = AlarmRow(
        "a1", "fan", "fan", "00", "source", "d", START, 150, "", peak_score=9.0, cleared_utc=START + 60.0
    )
    actions = [
        EventRow("e1", "a1", "fan", START + 70, "verdict", 3, "normal", 150, "ada", "a lorry", "unclear", None),
        EventRow("e2", "a1", "fan", START + 80, "verdict", 4, "normal", 150, "ada", None, "false", "forklift"),
    ]
    store.commit(Batch(alarms=[cleared], events=actions), START + 80)
    store.close()
    with open_history(tmp_path / "h") as history:
        (alarm,) = history.alarms()
        whole = history.alarm("a1")
    assert (alarm["severity"], alarm["peak_score"], alarm["text"], alarm["cleared_utc"]) == (
        200,
        9.0,
        "knocking",
        START + 60.0,
    )
    assert (alarm["verdict"], alarm["label"], alarm["note"]) == ("false", "forklift", "a lorry")
    assert whole is not None
    assert [e["verdict"] for e in whole["events"]] == ["unclear", "false"]


def test_a_damaged_block_is_a_gap_and_the_rest_is_read(tmp_path):
    fill(tmp_path / "h", 3)
    with sqlite3.connect(tmp_path / "h") as db:
        db.execute("UPDATE windows SET data = x'00112233' WHERE hour = (SELECT min(hour) FROM windows)")
    with open_history(tmp_path / "h") as history:
        assert len(history.windows("m0", START, START + 3 * HOUR)) == 2 * 720


def test_a_missing_or_foreign_file_is_named(tmp_path):
    with pytest.raises(HistoryError, match="there is no history"), open_history(tmp_path / "none"):
        pass
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(HistoryError, match="text"), open_history(tmp_path / "text"):
        pass
