"""Notes on levels: sound unlike the training from the start, and more alarms than were promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asd_agent.alarm.normal_scores import StreamScores
from asd_agent.alarm.rate import Promise
from asd_agent.alarm.rule import Rule
from asd_agent.clock import SystemClock
from asd_agent.history.level_check import UNLIKE_TRAINING
from asd_agent.history.reader import open_history
from asd_agent.history.store import AlarmRow, Batch, EventRow, HistoryStore, Limits
from asd_agent.history.writer import HistoryWriter
from rigs.history import START, named, windows
from rigs.waiting import wait_until

RULE = Rule()
KEPT = Limits(window_days=1e5, minute_days=1e5)
HOUR = 720
"""Windows of an hour."""


def note(
    path: Path, scores: np.ndarray, *, level: float = 4.0, before: int = 0, alarms: tuple = (), wanted: float = 1.0
) -> str:
    """Return the note on a monitor whose windows these are, the first `before` of them under another level."""
    store = HistoryStore(path, KEPT)
    parts = [*windows(scores[:before], level=9.0), *windows(scores[before:], level=level, first=before)]
    parts = [w.model_copy(update={"utc_start": START + w.start, "utc_end": START + w.end}) for w in parts]
    rows = [a for a in alarms if isinstance(a, AlarmRow)]
    for first in range(0, len(parts), HOUR):
        block = named("m", parts[first : first + HOUR])
        events = [a for a in alarms if isinstance(a, EventRow)] if first == 0 else []
        store.commit(Batch(block, rows if first == 0 else (), events), START + 5.0 * (first + HOUR))
    store.close()
    with open_history(path) as history:
        return history.level_note("m", START + 5.0 * len(scores) + 60.0, Promise(RULE, wanted, 3.0 * wanted))


def test_sound_that_was_never_normal_is_unlike_the_training(tmp_path):
    rng = np.random.default_rng(1)
    assert note(tmp_path / "h", 9 + rng.normal(0, 1, HOUR)) == UNLIKE_TRAINING


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (np.full(100, 9.0), "less than ten minutes"),
        (np.r_[np.zeros(200), np.full(3 * HOUR, 9.0)], "a fault that began later"),
        (np.linspace(5, 30, 2 * HOUR), "a fault that grows"),
        (np.r_[np.full(HOUR, 9.0), np.zeros(200)], "normal now"),
        (np.where(np.arange(2 * HOUR) % 5 == 0, 0.0, 9.0), "one window of five is normal"),
        (np.zeros(2 * HOUR), "healthy"),
    ],
)
def test_other_sound_is_not(tmp_path, scores, why):
    assert note(tmp_path / "h", scores) == "", why


def test_a_level_that_was_changed_counts_from_then_on(tmp_path):
    """Under the former level of 9 half of the windows were normal; the present one calls all of them anomalous."""
    scores = np.r_[np.tile([8.0, 10.0], HOUR), np.full(HOUR, 9.0)]
    assert note(tmp_path / "a", scores, before=2 * HOUR) == UNLIKE_TRAINING
    assert note(tmp_path / "b", np.r_[np.full(2 * HOUR, 12.0), np.full(HOUR, 3.0)], before=2 * HOUR) == ""


def bursts(count: int) -> tuple[np.ndarray, tuple[AlarmRow, ...]]:
    """Two days of windows with a minute above the level now and then, and the alarms of it."""
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 1, 48 * HOUR)
    places = np.linspace(HOUR, len(scores) - HOUR, count).astype(int)
    for number, place in enumerate(places.tolist()):
        scores[place : place + 12] = 5.0 + 0.1 * (number % 10)
    alarms = tuple(
        AlarmRow(f"a{p}", "m", "fan", "00", "source", "d", START + 5.0 * p + 20.0, 350, "", START + 5.0 * p + 90.0)
        for p in places.tolist()
    )
    return scores, alarms


def judged(alarm: AlarmRow, verdict: str) -> EventRow:
    return EventRow(f"v{alarm.alarm_id}", alarm.alarm_id, "m", START, "verdict", 1, "normal", 1, verdict=verdict)


def test_more_alarms_than_were_promised_propose_the_level_that_keeps_the_promise(tmp_path):
    scores, alarms = bursts(20)
    found = note(tmp_path / "h", scores, alarms=alarms)
    assert found.startswith("20 alarms in 2.0 days that nobody has judged true, where at most 3 a day were promised")
    level = StreamScores([scores], RULE).level(1.0)
    assert f"a raise level of {level:.2f} would have given 1 a day" in found


@pytest.mark.parametrize("count", [0, 2, 8])
def test_a_promise_that_may_hold_is_not_called_broken(tmp_path, count):
    """Eight in two days are four a day; with three a day, so many come in one of six pairs of days."""
    scores, alarms = bursts(count)
    assert note(tmp_path / "h", scores, alarms=alarms) == ""


def test_alarms_that_were_true_break_no_promise(tmp_path):
    scores, alarms = bursts(20)
    true = tuple(judged(a, "true") for a in alarms[:14])
    assert note(tmp_path / "h", scores, alarms=(*alarms, *true)) == ""
    false = tuple(judged(a, "false") for a in alarms[:14])
    assert note(tmp_path / "i", scores, alarms=(*alarms, *false)).startswith("20 alarms")


def test_the_writer_reports_notes_of_the_monitors_that_it_is_asked_for(tmp_path):
    clock = SystemClock()
    writer = HistoryWriter(tmp_path / "h", KEPT, clock, commit_seconds=0.02)
    writer.check_levels({"m": Promise(RULE, 1.0), "other": Promise(RULE, 1.0)})
    for window in windows(np.full(HOUR, 9.0), start=clock.utc() - 3600.0):
        writer.add_window("m", window)
        writer.add_window("unknown", window)
    writer.start()
    wait_until(lambda: writer.stats.levels == {"m": UNLIKE_TRAINING}, lambda: f"{writer.stats}")
    assert writer.stop(60.0)
