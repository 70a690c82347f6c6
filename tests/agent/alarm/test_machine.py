from __future__ import annotations

import json
import math

import pytest

from asd_agent.alarm import (
    AlarmState,
    ScoredWindow,
    abandon_evidence,
    earliest_alarm_seconds,
    restore,
    retire,
    severity_of,
    step,
    tick,
)
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings
from rigs.alarm_stream import EVIDENCE, Stream


def test_three_of_four_raise_with_the_third_and_not_before():
    stream = Stream()
    assert stream.hear(3.0, 3.0, 0.0) == []
    assert stream.hear(3.0) == ["raised"]
    assert stream.state.state == "active"


def test_bad_windows_too_far_apart_never_raise():
    assert Stream().hear(*[3.0, 3.0, 0.0, 0.0] * 20) == []


def test_a_score_at_the_threshold_is_not_over_it():
    assert Stream().hear(*[2.0] * 20) == []


def test_invalid_windows_count_neither_for_nor_against():
    stream = Stream()
    assert stream.hear(3.0, "invalid", "invalid", 3.0, "invalid", 0.0, "invalid") == []
    assert stream.hear(3.0) == ["raised"]


def test_a_score_that_is_no_number_is_invalid_and_not_normal():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    stream.hear(0.0, 0.0, 0.0, math.nan, math.inf)
    assert stream.state.phase == "active"
    assert stream.state.newest is not None
    assert stream.state.newest.verdict == "invalid"
    assert stream.hear(0.0) == ["cleared"]


def test_numbers_that_json_lacks_survive_a_restart():
    stream = Stream()
    stream.hear(3.0, 3.0)
    wild = ScoredWindow(
        index=9,
        start=0,
        end=99,
        verdict="scored",
        score=9.0,
        threshold=math.inf,
        spread=math.nan,
        clear_level=-math.inf,
    )
    stream.state, _ = step(stream.state, wild, stream.settings, stream.now)
    stream.restart()
    assert stream.hear(3.0) == ["raised"]


def test_cleared_needs_consecutive_windows_below_the_clear_level():
    stream = Stream(clear_after=3)
    stream.hear(3.0, 3.0, 3.0)
    assert stream.hear(0.5, 0.5, 1.5, 0.5, 0.5) == []
    assert stream.hear(0.5) == ["cleared"]
    assert (stream.state.phase, stream.state.state) == ("normal", "returned")


def test_the_votes_that_raised_an_alarm_do_not_raise_the_next():
    stream = Stream(raise_after="3 of 10", clear_after=2)
    assert stream.hear(3.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0, 3.0, 3.0) == ["raised", "cleared"]


def test_one_id_from_raised_to_cleared_and_another_for_the_next_alarm():
    stream = Stream(clear_after=2)
    stream.hear(3.0, 3.0, 9.0, 0.0, 0.0, 3.0, 3.0, 3.0)
    first = {e.alarm_id for e in stream.events[:-1]}
    assert stream.names == ["raised", "cleared", "raised"]
    assert len(first) == 1
    assert None not in first
    assert stream.events[-1].alarm_id not in first


def test_each_severity_class_is_said_once():
    stream = Stream()
    assert stream.hear(3.0, 3.0, 3.0) == ["raised"]
    assert stream.events[-1].severity == 200
    assert stream.hear(5.0, 3.0, 5.0) == ["escalated"]
    assert stream.hear(8.0, 3.0, 8.0) == ["escalated"]
    assert [e.severity for e in stream.events] == [200, 400, 700]


def test_an_alarm_that_begins_high_has_nothing_to_escalate_to():
    assert Stream().hear(9.0, 9.0, 9.0, 9.0, 12.0) == ["raised"]


@pytest.mark.parametrize(
    ("score", "threshold", "spread", "severity"),
    [
        (2.0, 2.0, 1.0, 100),
        (3.0, 2.0, 1.0, 200),
        (3.0, 2.0, 0.5, 300),
        (-4.0, -5.0, 1.0, 200),
        (99.0, 0.0, 1.0, 1000),
        (0.0, 50.0, 1.0, 1),
        (0.01, 0.0, 1.0, 101),
    ],
)
def test_severity_is_a_hundred_points_for_each_spread_beyond(score, threshold, spread, severity):
    window = ScoredWindow(index=1, start=0, end=10, verdict="scored", score=score, threshold=threshold, spread=spread)
    assert severity_of(window) == severity


def test_an_unacknowledged_alarm_is_said_again_on_sample_time():
    stream = Stream(realarm_minutes=1.0)
    stream.hear(3.0, 3.0, 3.0)
    assert stream.hear(*[3.0] * 11) == []
    assert stream.hear(3.0) == ["realarmed"]
    stream.utc += 1e6
    stream.monotonic += 1e6
    assert stream.hear(*[3.0] * 11) == []
    assert stream.hear("invalid") == ["realarmed"]
    stream.ask("acknowledge")
    assert stream.hear(*[3.0] * 30) == []


def test_stale_is_said_once_and_clears_nothing():
    stream = Stream(stale_after=3)
    stream.hear(3.0, 3.0, 3.0)
    assert stream.hear("invalid", "invalid") == []
    assert stream.hear("invalid", "invalid", "invalid") == ["stale"]
    assert stream.state.phase == "active"
    assert stream.hear(3.0) == ["resumed"]
    assert not stream.state.stale
    assert stream.hear(3.0) == []


def test_a_stale_monitor_without_alarm_calls_itself_stale():
    stream = Stream(stale_after=2)
    stream.hear("invalid", "invalid")
    assert stream.events[-1].state == "stale"
    stream.hear(0.0)
    assert stream.state.state == "normal"


def test_votes_from_before_a_long_silence_are_forgotten():
    stream = Stream(stale_after=3)
    assert stream.hear(3.0, 3.0, "invalid", "invalid", "invalid", 3.0, 3.0) == ["stale", "resumed"]
    assert stream.hear(3.0) == ["raised"]


def test_a_stopped_machine_is_suspended_once_and_neither_anomalous_nor_stale():
    stream = Stream(stale_after=3)
    assert stream.hear(0.0, *["suspended"] * 50) == ["suspended"]
    assert stream.state.state == "suspended"
    assert stream.hear(0.0, "suspended") == ["suspended"]


def test_a_stop_of_the_machine_interrupts_a_run_of_invalid_windows():
    stream = Stream(stale_after=3)
    assert stream.hear("invalid", "invalid", "suspended", "invalid", "invalid") == ["suspended"]
    assert stream.hear("invalid") == ["stale"]


def test_a_stop_is_no_event_unless_it_is_asked_for():
    stream = Stream(report_suspensions=False)
    assert stream.hear(0.0, *["suspended"] * 5, 0.0, "suspended") == []
    assert stream.state.state == "suspended"


def test_a_stop_after_a_loss_of_judgement_ends_it():
    stream = Stream(stale_after=2, report_suspensions=False)
    assert stream.hear("invalid", "invalid", "suspended") == ["stale", "resumed"]


def test_suspended_windows_neither_raise_nor_clear():
    stream = Stream()
    stream.hear(3.0, 3.0, 0.0, 0.0, "suspended", "suspended", 0.0, 0.0)
    assert stream.hear(3.0) == ["raised"]
    stream.hear(*["suspended"] * 30)
    assert stream.state.phase == "active"


def test_the_same_window_twice_counts_once():
    stream = Stream()
    stream.hear(3.0, 3.0)
    window = stream.state.newest
    assert window is not None
    for _ in range(5):
        stream.state, events = step(stream.state, window, stream.settings, stream.now)
        assert events == ()
    assert stream.state.votes == (True, True)


def test_sequence_numbers_have_no_gap_over_all_kinds_of_events():
    stream = Stream(stale_after=2)
    stream.hear(3.0, 3.0, 3.0)
    stream.ask("acknowledge")
    stream.hear("invalid", "invalid", "suspended", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert stream.names == ["raised", "acknowledged", "stale", "resumed", "suspended", "cleared"]
    assert [e.seq for e in stream.events] == [1, 2, 3, 4, 5, 6]
    assert len({e.id for e in stream.events}) == 6


def test_evidence_belongs_to_its_alarm_also_after_that_is_over():
    stream = Stream(evidence=True)
    stream.hear(3.0, 3.0, 3.0)
    raised = stream.events[0]
    assert raised.evidence_id.endswith(raised.alarm_id)
    stream.hear(0.0, 0.0, 0.0, 0.0)
    stream.keep(raised.evidence_id)
    said = stream.events[-1]
    assert (said.event, said.alarm_id, said.seq) == ("evidence", raised.alarm_id, 3)
    assert (said.evidence_id, said.evidence) == (raised.evidence_id, EVIDENCE)
    assert stream.state.evidence_id is None


def test_evidence_is_said_once_and_stands_in_the_state_while_its_alarm_does():
    stream = Stream(evidence=True)
    stream.hear(3.0, 3.0, 3.0)
    evidence_id = stream.events[0].evidence_id
    assert stream.state.evidence_id is None
    stream.keep(evidence_id)
    stream.keep(evidence_id)
    stream.keep("20270115T080000Z-another")
    assert stream.names == ["raised", "evidence"]
    assert stream.state.evidence_id == evidence_id
    stream.hear(0.0, 0.0, 0.0, 0.0)
    assert stream.state.evidence_id is None


def test_evidence_that_was_given_up_is_never_said_and_what_is_awaited_survives_a_restart():
    stream = Stream(evidence=True)
    stream.hear(3.0, 3.0, 3.0)
    evidence_id = stream.events[0].evidence_id
    stream.restart()
    assert [a.evidence_id for a in stream.state.pending_evidence] == [evidence_id]
    stream.state = abandon_evidence(stream.state, evidence_id)
    stream.keep(evidence_id)
    assert stream.names == ["raised"]
    assert stream.state.pending_evidence == ()


def test_where_nothing_is_recorded_no_evidence_is_named():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    assert stream.events[0].evidence_id is None
    assert stream.state.pending_evidence == ()


def test_a_restart_keeps_alarm_sequence_and_fresh_votes():
    stream = Stream()
    stream.hear(3.0, 3.0)
    stream.restart()
    assert stream.hear(3.0) == ["raised"]
    alarm_id = stream.state.alarm_id
    stream.restart(reboot=True, away=1e5, bundle="bundle-2")
    stream.hear(0.0, 0.0, 0.0, 0.0)
    assert stream.names == ["raised", "cleared"]
    assert stream.events[-1].alarm_id == alarm_id
    assert stream.events[-1].seq == 2


@pytest.mark.parametrize("how", [{"reboot": True}, {"away": 301.0}, {"bundle": "bundle-2"}])
def test_votes_of_another_time_or_bundle_are_forgotten_at_a_restart(how):
    stream = Stream()
    stream.hear(3.0, 3.0)
    stream.restart(**how)
    assert stream.hear(3.0, 3.0) == []
    assert stream.hear(3.0) == ["raised"]


def test_a_stored_state_that_cannot_be_read_starts_as_normal_and_is_said():
    stream = Stream()
    state, complaint = restore('{"version": 99}', "agent/fan", "b", stream.now)
    assert state == AlarmState(monitor="agent/fan", bundle="b", updated_at=stream.monotonic, boot_id=stream.boot_id)
    assert complaint is not None
    assert "agent/fan" in complaint


STORED = (  # written by version 0.1.0
    '{"version":1,"monitor":"agent/fan","bundle":"bundle-1","seq":2,"phase":"active","alarm_id":"302b93ab","announced":'
    'true,"raised_utc":1800000015.0,"last_raised_utc":1800000015.0,"records":true,"awaited":[{"alarm_id":"302b93ab",'
    '"evidence_id":"20270115T080015Z-302b93ab"}],"evidence_id":null,"votes":[true,true,true,false,true],"below":0,'
    '"doubtful":[{"end":20.0,"below":0},{"end":25.0,"below":1}],"runs_from":null,"invalid":0,"unscored":0,"stale":false'
    ',"suspended":false,"out_of_service":false,"shelving":{"kind":"timed","until":1620.0,"boot_id":"boot-1","remaining"'
    ':595.0},"told_class":0,"since_told":10.0,"heard":25.0,"severity":200,"newest":{"index":5,"start":15.0,"end":25.0,'
    '"utc_start":0.0,"utc_end":0.0,"verdict":"scored","suspect":false,"reasons":[],"score":3.0,"threshold":2.0,'
    '"clear_level":1.0,"spread":1.0,"domain":null,"provisional":null,"experts":{},"explanation":null},"touched":1025.0,'
    '"boot_id":"boot-1"}'
)


def test_a_state_that_an_earlier_version_stored_is_read_and_written_under_the_same_names():
    state = AlarmState.model_validate_json(STORED)
    written = json.loads(state.to_json())
    assert {key: written[key] for key in json.loads(STORED)} == json.loads(STORED)
    assert [p.evidence_id for p in state.pending_evidence] == ["20270115T080015Z-302b93ab"]
    assert [(v.end, v.clear_count) for v in state.revocable_votes] == [(20.0, 0), (25.0, 1)]
    assert (state.last_sample_time, state.updated_at, state.since_report) == (25.0, 1025.0, 10.0)
    restored, complaint = restore(STORED, "agent/fan", "bundle-1", ClockReading(1.8e9, 1030.0, "boot-1"), evidence=True)
    assert complaint is None
    assert (restored.state, restored.alarm_id, restored.votes) == ("shelved", "302b93ab", state.votes)


def test_a_changed_rule_counts_only_as_many_votes_as_it_looks_back():
    stream = Stream(raise_after="3 of 10")
    stream.hear(3.0, 3.0, 0.0, 0.0, 0.0)
    stream.settings = AlarmSettings.model_validate({"raise_after": "3 of 4"})
    assert stream.hear(3.0) == []


def test_earliest_alarm():
    settings = AlarmSettings.model_validate({"raise_after": "3 of 4"})
    assert earliest_alarm_seconds(settings, hop=5.0, window=10.0) == 20.0


def test_an_unreadable_state_keeps_its_sequence():
    text = '{"version": 1, "seq": 41, "phase": "of the moon"}'
    state, complaint = restore(text, "agent/fan", "b", Stream().now)
    assert complaint is not None
    assert state.seq == 42


def test_a_removed_monitor_ends_its_standing_alarm():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    state, events = retire(stream.state, stream.now)
    assert [e.event for e in events] == ["cleared"]
    assert events[0].alarm_id == stream.events[0].alarm_id
    assert state.phase == "normal"
    assert retire(state, stream.now)[1] == ()


def test_a_tick_copies_no_state_that_is_not_shelved():
    stream = Stream()
    stream.hear(9.0, 9.0, 9.0)
    state, events = tick(stream.state, stream.now)
    assert state is stream.state
    assert events == ()
