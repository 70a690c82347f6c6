"""Windows that hold part of a stop or of a start of the machine do not count; those beside them do."""

from __future__ import annotations

import json
from itertools import accumulate

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asd_agent.alarm import restore
from rigs.alarm_stream import CLEAR, THRESHOLD, Stream

HALF_STILL_GOOD, HALF_STILL_BAD = (0.0, 0.0), (3.0, 3.0)
"""Windows of 10 s every 5 s that hold a stop or a start, and what they score."""


def test_windows_that_hold_part_of_a_stop_or_start_never_raise():
    stream = Stream()
    for _ in range(20):
        assert stream.hear(0.0, 0.0, *HALF_STILL_BAD, "suspended", "suspended", *HALF_STILL_BAD) == ["suspended"]


def test_a_machine_that_starts_broken_raises_with_the_windows_that_are_wholly_of_its_run():
    stream = Stream()
    assert stream.hear("suspended", *HALF_STILL_BAD, 3.0, 3.0) == ["suspended"]
    assert stream.hear(3.0) == ["raised"]


def test_short_runs_of_a_machine_collect_votes_from_their_whole_windows():
    stream = Stream(raise_after="3 of 3")
    run = (*HALF_STILL_GOOD, 3.0, *HALF_STILL_GOOD, "suspended", "suspended")
    assert stream.hear("suspended", *run, *run) == ["suspended"] * 3
    assert stream.hear(*HALF_STILL_GOOD, 3.0) == ["raised"]


def test_stops_and_starts_neither_clear_nor_escalate_nor_raise_a_standing_alarm_again():
    stream = Stream(clear_after=3)
    stream.hear(3.0, 3.0, 3.0)
    for half_still in (HALF_STILL_GOOD, (9.0, 0.0)):
        assert stream.hear(3.0, *HALF_STILL_GOOD, "suspended", "suspended", *half_still, 3.0) == ["suspended"]
    assert stream.state.phase == "active"


def test_windows_below_the_clear_level_are_counted_on_after_a_stop():
    stream = Stream(clear_after=3)
    stream.hear(3.0, 3.0, 3.0, 0.0, 0.0, *HALF_STILL_BAD, "suspended", *HALF_STILL_BAD)
    assert stream.hear(0.0) == ["cleared"]


def test_a_stop_that_no_window_overlaps_with_takes_the_vote_of_the_last_window():
    stream = Stream(hop=10.0, raise_after="2 of 2")
    stream.hear(3.0, "suspended", 3.0)
    assert stream.hear(3.0) == []
    assert stream.hear(3.0) == ["raised"]


def test_a_stop_is_looked_for_since_the_last_window_that_was_scored():
    stream = Stream()
    stream.hear(3.0, 0.0, 3.0, 0.0, "invalid", "suspended")
    assert stream.state.votes == (True, False)


def test_a_machine_that_stood_still_at_a_restart_may_start_within_the_first_window_after_it():
    stream = Stream()
    stream.hear(3.0, 3.0, *HALF_STILL_GOOD, "suspended")
    stream.restart()
    assert stream.hear(*HALF_STILL_BAD) == []
    assert stream.hear(3.0) == ["raised"]


def test_windows_of_a_start_while_out_of_service_do_not_count_after_it():
    stream = Stream(raise_after="1 of 1")
    stream.ask("out_of_service")
    stream.hear("suspended", 3.0)
    stream.ask("unshelve")
    assert stream.hear(3.0) == []
    assert stream.hear(3.0) == ["raised"]


def test_a_state_that_was_stored_before_stops_were_followed_is_read():
    stream = Stream()
    stream.hear(3.0, 3.0)
    older = stream.state.model_dump(mode="json", by_alias=True, exclude={"revocable_votes", "runs_from"})
    stream.state, complaint = restore(json.dumps(older), "agent/fan", "bundle-1", stream.now)
    assert complaint is None
    assert stream.hear(3.0) == ["raised"]


@st.composite
def days(draw):
    """A machine that runs and stops in turn, and the windows of its sound.

    Times are in quarters of a second, so that windows begin and end exactly. Each stop is long enough for a window
    within it; a run may have any length. A window with at most `lax` of running sound stays below the gate's
    level.
    """
    window = draw(st.integers(4, 48))
    hop = draw(st.integers(1, 20).filter(lambda h: window <= 30 * h))
    lax = draw(st.integers(0, window // 2))
    runs = draw(st.lists(st.integers(1, 3 * window + 6 * hop), min_size=1, max_size=6))
    stills = draw(st.lists(st.integers(window + hop, 2 * window + 3 * hop), min_size=len(runs), max_size=len(runs)))
    turns = list(accumulate(t for pair in zip(runs, stills, strict=True) for t in pair))
    k_least = -(-window // hop) + 1
    k = draw(st.integers(k_least, k_least + 3))
    rule = {"raise_after": f"{k} of {draw(st.integers(k, k + 4))}", "clear_after": k, "stale_after": 10_000}
    kinds: list[str] = []
    for first in range(0, turns[-1] - window + 1, hop):
        running = sum(_shared(first, first + window, *run) for run in zip([0, *turns[1:-1:2]], turns[::2], strict=True))
        kinds.append("suspended" if running <= lax else "whole" if running == window else "half")
    return rule, window / 4, hop / 4, kinds


def _shared(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))


def _counted(kinds: list[str], window: float, hop: float) -> list[int]:
    """Indices of the windows that count, with hindsight: within a run, after its first window and before its last."""
    found: list[int] = []
    run: list[int] = []
    stood_still = False
    for i, kind in enumerate([*kinds, "suspended"]):
        if kind != "suspended":
            run.append(i)
            continue
        if run:
            begin = run[0] * hop + window if stood_still else 0.0
            end = run[-1] * hop
            found += [j for j in run if j * hop >= begin and j * hop + window <= end]
        run, stood_still = [], True
    return found


def _stream(rule, window, hop):
    stream = Stream(hop=hop, window=window, **rule)
    stream.sample_time = window - hop
    return stream


@settings(max_examples=100)
@given(days(), st.data())
def test_half_still_windows_alone_never_raise(day, data):
    rule, window, hop, kinds = day
    stream = _stream(rule, window, hop)
    for kind in kinds:
        half = data.draw(st.sampled_from([0.0, 1.5, 3.0, 9.0])) if kind == "half" else 0.0
        stream.hear(kind if kind == "suspended" else half)
    assert "raised" not in stream.names


@settings(max_examples=100)
@given(days(), st.data())
def test_whole_windows_of_a_broken_machine_raise_once_also_over_several_short_runs(day, data):
    rule, window, hop, kinds = day
    stream = _stream(rule, window, hop)
    k = stream.settings.raise_after.k
    counted = _counted(kinds, window, hop)
    for i, kind in enumerate(kinds):
        half = data.draw(st.sampled_from([0.0, 3.0])) if kind == "half" else 3.0
        stream.hear(kind if kind == "suspended" else half)
        if len(counted) >= k and i >= counted[k - 1]:
            assert stream.state.phase == "active"
    assert stream.names.count("raised") <= 1
    assert "cleared" not in stream.names


@settings(max_examples=100)
@given(days(), st.data())
def test_what_counts_is_what_hindsight_says(day, data):
    rule, window, hop, kinds = day
    stream = _stream(rule, window, hop)
    scores = [data.draw(st.sampled_from([0.0, 1.5, 3.0])) for _ in kinds]
    for kind, score in zip(kinds, scores, strict=True):
        stream.hear(kind if kind == "suspended" else score)
    stream.hear("suspended")
    assume("raised" not in stream.names)
    counted = [scores[i] for i in _counted(kinds, window, hop)]
    n = stream.settings.raise_after.n
    assert list(stream.state.votes)[-n:] == [s > THRESHOLD for s in counted][-n:]
    below = next((i for i, s in enumerate(reversed(counted)) if s >= CLEAR), len(counted))
    assert stream.state.clear_count == below
