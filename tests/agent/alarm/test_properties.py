"""Whatever is heard, asked for, restarted and stepped: the alarm keeps its promises."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.alarm import abandon_evidence
from rigs.alarm_stream import CLEAR, THRESHOLD, Stream

scores = st.one_of(
    st.floats(-3, 12), st.sampled_from([0.0, 3.0, 3.0, 9.0]), st.sampled_from(["invalid", "suspended", "invalid"])
)
happenings = st.one_of(
    st.tuples(st.just("hear"), st.lists(scores, min_size=1, max_size=6)),
    st.tuples(st.just("wall"), st.floats(-1e9, 1e9)),
    st.tuples(st.just("wait"), st.floats(0, 4000)),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("acknowledge"), st.none()),
    st.tuples(st.just("shelve"), st.floats(0.01, 500)),
    st.tuples(st.just("one_shot"), st.none()),
    st.tuples(st.just("unshelve"), st.none()),
    st.tuples(st.just("out_of_service"), st.none()),
    st.tuples(st.just("verdict"), st.sampled_from(["true", "false", "test", "unclear"])),
    st.tuples(st.just("keep"), st.integers(0, 3)),
    st.tuples(st.just("give_up"), st.integers(0, 3)),
)
rules = st.fixed_dictionaries(
    {
        "raise_after": st.sampled_from(["1 of 1", "2 of 3", "3 of 4", "3 of 10", "5 of 5"]),
        "clear_after": st.integers(1, 5),
        "stale_after": st.integers(1, 6),
        "realarm_minutes": st.sampled_from([None, 0.2, 1.0]),
    }
)


def _happen(stream: Stream, what: str, how: object) -> None:
    if what == "hear":
        stream.hear(*how)
    elif what == "wall":
        stream.utc = 1.8e9 + how
    elif what == "wait":
        stream.wait(how)
        stream.tick()
    elif what == "restart":
        stream.restart(reboot=how)
    elif what == "shelve":
        stream.ask("shelve", minutes=how)
    elif what == "verdict":
        stream.ask("verdict", verdict=how)
    elif what == "one_shot":
        stream.ask("shelve", one_shot=True)
    elif what in {"keep", "give_up"}:
        awaited = [a.evidence_id for a in stream.state.pending_evidence] or ["never-named"]
        evidence_id = awaited[how % len(awaited)]
        if what == "keep":
            stream.keep(evidence_id)
        else:
            stream.state = abandon_evidence(stream.state, evidence_id)
    else:
        stream.ask(what)


@settings(max_examples=300)
@given(rules, st.lists(happenings, max_size=30))
def test_promises(rule, story):
    stream = Stream(**rule, evidence=True)
    bad = 0
    raised: dict[int, int] = {}
    for what, how in story:
        pieces = [[s] for s in how] if what == "hear" else [how]
        for piece in pieces:
            before = len(stream.events)
            _happen(stream, what, piece)
            if what == "hear" and isinstance(piece[0], float) and piece[0] > 2.0:
                bad += 1
            for event in stream.events[before:]:
                if event.event == "raised":
                    raised[event.seq] = bad
                elif event.event == "cleared":
                    bad = 0
        assert stream.state == type(stream.state).model_validate_json(stream.state.to_json())

    events = stream.events
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert len({e.id for e in events}) == len(events)
    assert all(count >= stream.settings.raise_after.k for count in raised.values())
    standing: str | None = None
    told = 0
    returned: set[str | None] = set()
    acknowledged: set[str | None] = set()
    for event in events:
        assert 1 <= event.severity <= 1000
        if event.event == "raised":
            assert standing is None
            standing, told = event.alarm_id, event.severity
            assert standing is not None
        elif event.event == "acknowledged":
            assert event.alarm_id not in acknowledged
            assert event.alarm_id == standing or event.alarm_id in returned
            acknowledged.add(event.alarm_id)
            returned.discard(event.alarm_id)
        elif event.event == "verdict":
            assert event.verdict is not None
            assert event.alarm_id is not None
        elif event.event in {"cleared", "escalated", "realarmed"}:
            assert event.alarm_id == standing
            assert standing is not None
            if event.event == "cleared":
                if standing not in acknowledged:
                    returned.add(standing)
                standing = None
            elif event.event == "escalated":
                assert event.severity > told
                told = event.severity
    assert stream.state.announced == (standing is not None)
    assert {p.alarm_id for p in stream.state.returned} == returned
    if not stream.state.returned:
        assert stream.state.state != "returned"
    named: dict[str, str | None] = {}
    for event in events:
        if event.event == "raised":
            assert event.evidence_id not in named
            named[event.evidence_id] = event.alarm_id
        elif event.event == "evidence":
            assert named.pop(event.evidence_id) == event.alarm_id
            assert event.evidence is not None
        else:
            assert event.evidence_id is None
    assert {a.evidence_id for a in stream.state.pending_evidence} <= named.keys()
    silenced = False
    for event in events:
        assert not (silenced and event.event in {"raised", "escalated", "realarmed"})
        if event.event in {"shelved", "out_of_service"}:
            silenced = True
        elif event.event == "unshelved":
            silenced = False


@settings(max_examples=200)
@given(rules, st.lists(scores, max_size=60), st.data())
def test_a_restart_right_away_changes_nothing_that_is_said(rule, heard, data):
    """No more than windows that are skipped: after either, a window shares no sound with those before."""
    through, broken = Stream(**rule), Stream(**rule)
    for score in heard:
        if data.draw(st.booleans()):
            broken.restart(away=0.0)
            through.skip()
        through.hear(score)
        broken.hear(score)
    rule_without_time = [n for n in through.names if n != "realarmed"]
    assert [n for n in broken.names if n != "realarmed"] == rule_without_time


@settings(max_examples=200)
@given(rules, st.lists(scores, max_size=60), st.lists(st.floats(-1e9, 1e9), min_size=60, max_size=60))
def test_steps_of_the_wall_clock_change_nothing(rule, heard, steps):
    steady, stepping = Stream(**rule), Stream(**rule)
    for score, jump in zip(heard, steps, strict=False):
        steady.hear(score)
        stepping.utc = 1.8e9 + jump
        stepping.hear(score)
    assert steady.names == stepping.names


@settings(max_examples=200)
@given(rules, st.lists(st.floats(-3, 12), max_size=60), st.data())
def test_sparse_invalid_windows_change_nothing_that_is_said(rule, heard, data):
    rule = {**rule, "realarm_minutes": None, "stale_after": 3}
    clean, spotted = Stream(**rule), Stream(**rule)
    for score in heard:
        clean.hear(score)
        spotted.hear(*["invalid"] * data.draw(st.integers(0, 2)), score)
    assert clean.names == spotted.names


@settings(max_examples=300)
@given(rules, st.lists(st.floats(-3, 12), max_size=80))
def test_alarms_begin_and_end_where_the_rule_read_literally_says(rule, heard):
    stream = Stream(**{**rule, "realarm_minutes": None})
    k, n, last = stream.settings.raise_after.k, stream.settings.raise_after.n, stream.settings.clear_after
    said, begun, since = [], False, 0
    for i, score in enumerate(heard):
        if not begun:
            window = heard[max(since, i - n + 1) : i + 1]
            begun = score > THRESHOLD and sum(s > THRESHOLD for s in window) >= k
            if begun:
                said.append((i, "raised"))
                since = i + 1
        elif i + 1 - since >= last and all(s < CLEAR for s in heard[i + 1 - last : i + 1]):
            said.append((i, "cleared"))
            begun, since = False, i + 1
    found = []
    for i, score in enumerate(heard):
        found += [(i, name) for name in stream.hear(score) if name != "escalated"]
    assert found == said
