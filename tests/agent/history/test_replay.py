"""A replay gives the alarms that the alarm machine gave, at any level, with or without skipping."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.alarm import AlarmState, ScoredWindow, step
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings, RaiseAfter
from asd_agent.history.reader import open_history
from asd_agent.history.replay import compare, replay
from asd_agent.history.store import Batch, HistoryStore
from asd_agent.history.windows import WindowBlock
from rigs.history import START, named, windows


def given_by_the_machine(items: list[ScoredWindow], settings: AlarmSettings) -> list[tuple[str, float]]:
    state, found = AlarmState(monitor="x/fan"), []
    for window in items:
        state, events = step(state, window, settings, ClockReading(window.utc_end, window.utc_end, "boot"))
        found += [(e.event, window.utc_end) for e in events if e.event in {"raised", "cleared"}]
    return found


def stream(seed: int, hop: float) -> list[ScoredWindow]:
    """Scores that wander over the level, with invalid windows and stops of the machine."""
    rng = np.random.default_rng(seed)
    scores = np.convolve(rng.normal(size=1520), np.ones(20) / 4.5, "valid") * 2.6
    items = windows(scores.tolist(), hop=hop)
    for start in rng.integers(0, 1450, 10):
        verdict = rng.choice(["invalid", "suspended"])
        for i in range(start, start + int(rng.integers(1, 40))):
            items[i] = items[i].model_copy(update={"verdict": verdict, "score": None})
    return items


@pytest.mark.parametrize("rule", ["3 of 4", "1 of 1", "3 of 12", "5 of 6"])
@pytest.mark.parametrize("hop", [5.0, 1.0])
def test_replay_equals_the_alarm_machine(rule, hop):
    k, n = (int(v) for v in rule.split(" of "))
    settings = AlarmSettings(raise_after=RaiseAfter(k=k, n=n))
    for seed in range(2):
        items = stream(seed, hop)
        expected = given_by_the_machine(items, settings)
        assert len(expected) > 4
        block = WindowBlock.from_bytes(WindowBlock.of(named("fan", items)).to_bytes())
        for skip in (True, False):
            found = replay(block, settings, skip=skip)
            times = [
                t for r in found for t in (("raised", r.raised_utc), ("cleared", r.cleared_utc)) if t[1] is not None
            ]
            assert times == expected


def test_a_stop_behind_invalid_windows_is_no_sound_of_the_machine():
    """The first window after it may hold the start, also where the replay skips to it."""
    quiet = windows([0.0] * 60)
    items = [*quiet, *windows([9.0, 0.0, 0.0, 9.0], first=80, start=START + 80 * 5.0)]
    still = [w.model_copy(update={"verdict": "suspended", "score": None}) for w in windows([0.0] * 80)[60:70]]
    items[60:60] = [*still, *windows([None] * 80)[70:]]
    settings = AlarmSettings(raise_after=RaiseAfter(k=1, n=1))
    expected = given_by_the_machine(items, settings)
    assert expected == [("raised", START + 83 * 5.0)]
    assert [("raised", r.raised_utc) for r in replay(WindowBlock.of(named("fan", items)), settings)] == expected


def test_a_higher_level_spares_a_false_alarm_and_loses_none_that_was_true():
    quiet = [0.0] * 40
    items = windows([*quiet, *[5.0] * 6, *quiet, *[9.0] * 6, *quiet])
    block = WindowBlock.of(named("fan", items))
    now = replay(block, AlarmSettings())
    assert [r.peak_score for r in now] == [5.0, 9.0]
    stored = [
        {"alarm_id": "false", "raised_utc": now[0].raised_utc, "cleared_utc": now[0].cleared_utc, "verdict": "false"},
        {"alarm_id": "true", "raised_utc": now[1].raised_utc, "cleared_utc": now[1].cleared_utc, "verdict": "true"},
    ]
    result = compare(replay(block, AlarmSettings(), level=7.0), stored)
    assert (list(result.spared), list(result.kept), list(result.lost), list(result.added)) == (
        ["false"],
        ["true"],
        [],
        [],
    )
    result = compare(replay(block, AlarmSettings(), level=10.0), stored)
    assert (list(result.spared), list(result.lost)) == (["false"], ["true"])


def test_a_lower_level_adds_alarms_and_an_alarm_may_last_to_the_end():
    items = windows([*[0.0] * 40, *[2.0] * 40])
    block = WindowBlock.of(named("fan", items))
    (found,) = replay(block, AlarmSettings(), level=1.0)
    assert found.raised_utc == START + 42 * 5.0
    assert found.cleared_utc is None
    assert list(compare([found], []).added) == [found]


def test_nothing_gives_no_alarm():
    assert replay(WindowBlock.of([]), AlarmSettings()) == []


def test_a_shift_of_three_monitors_is_replayed_as_it_was_judged(tmp_path):
    """Through the stored form: 8 h at a hop of 5 s, a commit a minute, hours packed on the way."""
    settings, store = AlarmSettings(), HistoryStore(tmp_path / "history.sqlite3")
    given = {f"m{n}": shift(n) for n in range(3)}
    expected = {name: given_by_the_machine(items, settings) for name, items in given.items()}
    for first in range(0, WINDOWS, 12):
        batch = [pair for name, items in given.items() for pair in named(name, items[first : first + 12])]
        store.commit(Batch(windows=batch), START + 5.0 * (first + 12))
    store.close()
    with open_history(tmp_path / "history.sqlite3") as history:
        for name, alarms in expected.items():
            found = replay(history.windows(name, START - 1, START + 1e6), settings)
            assert [r.raised_utc for r in found] == [t for event, t in alarms if event == "raised"]
            assert [r.cleared_utc for r in found if r.cleared_utc] == [t for event, t in alarms if event == "cleared"]
    assert sum(len(alarms) for alarms in expected.values()) > 10


WINDOWS = 5760
"""Eight hours."""


def shift(seed: int) -> list[ScoredWindow]:
    """Windows of a shift: scores that wander, five faults, stops of the machine and gaps."""
    rng = np.random.default_rng(seed)
    scores = np.convolve(rng.normal(size=WINDOWS + 59), np.ones(60) / 60, "valid") * 6.0
    for start in rng.integers(0, WINDOWS - 200, 5):
        scores[start : start + int(rng.integers(5, 200))] += 6.0
    items = windows(scores.tolist())
    for start in rng.integers(0, WINDOWS - 200, 15):
        verdict = rng.choice(["invalid", "suspended"])
        for i in range(start, start + int(rng.integers(1, 120))):
            items[i] = items[i].model_copy(update={"verdict": verdict, "score": None})
    return items
