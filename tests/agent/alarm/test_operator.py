from __future__ import annotations

import math

import pytest

from rigs.alarm_stream import Stream


def test_an_acknowledged_alarm_stands_until_it_clears():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    assert stream.ask("acknowledge", alarm_id=stream.state.alarm_id).done
    assert stream.state.state == "acknowledged"
    assert stream.hear(0.0, 0.0, 0.0, 0.0) == ["cleared"]


def test_acknowledging_twice_says_it_once():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    assert stream.ask("acknowledge").done
    assert stream.ask("acknowledge").done
    assert stream.names == ["raised", "acknowledged"]


def test_acknowledging_nothing_or_another_alarm_is_refused():
    stream = Stream()
    assert not stream.ask("acknowledge").done
    stream.hear(3.0, 3.0, 3.0)
    assert not stream.ask("acknowledge", alarm_id="of yesterday").done
    assert stream.state.phase == "active"


def test_an_acknowledged_alarm_that_gets_worse_is_said():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    stream.ask("acknowledge")
    assert stream.hear(9.0) == ["escalated"]
    assert stream.state.state == "acknowledged"


def test_an_alarm_that_comes_while_shelved_is_said_when_the_time_is_up():
    stream = Stream()
    assert stream.ask("shelve", minutes=1).done
    assert stream.hear(*[3.0] * 11) == []
    assert stream.state.state == "shelved"
    assert stream.hear(3.0) == ["unshelved", "raised"]


def test_an_alarm_that_came_and_went_while_shelved_is_never_said():
    stream = Stream()
    stream.ask("shelve", minutes=2)
    stream.hear(*[3.0] * 4, *[0.0] * 4)
    stream.wait(600)
    stream.tick()
    assert stream.names == ["shelved", "unshelved"]


def test_an_alarm_said_before_is_cleared_also_while_shelved():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    stream.ask("shelve", minutes=10)
    assert stream.hear(9.0, 9.0) == []
    assert stream.hear(0.0, 0.0, 0.0, 0.0) == ["cleared"]
    assert stream.state.state == "shelved"


def test_one_shot_shelving_ends_with_its_alarm():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    stream.ask("shelve", one_shot=True)
    assert stream.hear(0.0, 0.0, 0.0, 0.0) == ["cleared", "unshelved"]
    assert stream.hear(3.0, 3.0, 3.0) == ["raised"]


def test_one_shot_shelving_is_bounded_too():
    stream = Stream(max_shelve_minutes=30)
    stream.ask("shelve", one_shot=True)
    stream.wait(30 * 60 + 1)
    assert stream.tick() == ["unshelved"]


@pytest.mark.parametrize("minutes", [0, -1, 481, math.nan, math.inf, "60", True, [5]])
def test_shelving_without_bound_or_sense_is_refused(minutes):
    stream = Stream()
    assert not stream.ask("shelve", minutes=minutes).done
    assert stream.names == []


def test_shelving_cannot_be_prolonged_without_unshelving():
    stream = Stream()
    stream.ask("shelve", minutes=480)
    assert not stream.ask("shelve", minutes=480).done
    assert stream.ask("unshelve").done
    assert stream.ask("shelve", minutes=480).done


def test_a_step_of_the_wall_clock_does_not_end_a_shelving():
    stream = Stream()
    stream.ask("shelve", minutes=10)
    stream.utc += 1e8
    assert stream.tick() == []
    stream.utc -= 2e8
    stream.wait(599)
    assert stream.tick() == []
    stream.wait(2)
    assert stream.tick() == ["unshelved"]


def test_a_restart_within_the_same_boot_lets_a_shelving_run_on():
    stream = Stream()
    stream.ask("shelve", minutes=10)
    stream.restart(away=599.0)
    assert stream.tick() == []
    stream.wait(2)
    assert stream.tick() == ["unshelved"]


def test_after_a_reboot_a_shelving_goes_on_with_what_was_left():
    stream = Stream()
    stream.ask("shelve", minutes=10)
    stream.wait(540)
    stream.tick()
    stream.restart(reboot=True, away=1e6)
    assert stream.tick() == []
    stream.wait(61)
    assert stream.tick() == ["unshelved"]


def test_out_of_service_counts_nothing_until_it_is_heard_again():
    stream = Stream(stale_after=2)
    stream.hear(3.0, 3.0)
    assert stream.ask("out_of_service").done
    assert stream.hear(*[9.0] * 10, *["invalid"] * 5, "suspended") == []
    stream.restart(reboot=True)
    assert stream.hear(9.0, 9.0, 9.0) == []
    assert stream.ask("unshelve").done
    assert stream.hear(3.0, 3.0) == []
    assert stream.hear(3.0) == ["raised"]
    assert stream.names == ["out_of_service", "unshelved", "raised"]


def test_unshelving_what_is_heard_and_unknown_verbs_are_refused():
    stream = Stream()
    assert not stream.ask("unshelve").done
    refused = stream.ask("explode")
    assert not refused.done
    assert "acknowledge" in refused.text


def test_an_alarm_that_came_and_went_waits_until_it_is_acknowledged():
    stream = Stream(clear_after=2)
    assert stream.hear(3.0, 3.0, 3.0, 0.0, 0.0) == ["raised", "cleared"]
    assert stream.state.state == "returned"
    stream.restart()
    assert [p.alarm_id for p in stream.state.returned] == [stream.events[0].alarm_id]
    result = stream.ask("acknowledge", by="ada", note="bearing ordered")
    assert (result.done, result.text) == (True, "1 past alarm is acknowledged")
    event = stream.events[-1]
    assert (event.event, event.alarm_id, event.by, event.note) == (
        "acknowledged",
        stream.events[0].alarm_id,
        "ada",
        "bearing ordered",
    )
    assert stream.state.state == "normal"
    assert not stream.ask("acknowledge").done


def test_an_acknowledged_alarm_is_over_when_it_clears():
    stream = Stream(clear_after=2)
    stream.hear(3.0, 3.0, 3.0)
    stream.ask("acknowledge")
    stream.hear(0.0, 0.0)
    assert stream.state.state == "normal"


def test_one_past_alarm_of_several_is_acknowledged_by_its_id():
    stream = Stream(clear_after=2)
    stream.hear(*[3.0, 3.0, 3.0, 0.0, 0.0] * 3)
    first, second, third = (p.alarm_id for p in stream.state.returned)
    assert stream.ask("acknowledge", alarm_id=second).done
    assert [p.alarm_id for p in stream.state.returned] == [first, third]
    assert stream.ask("acknowledge", alarm_id=second).text == f"alarm {second} was acknowledged before"


def test_a_verdict_judges_the_newest_alarm_or_one_by_its_id_and_can_be_changed():
    stream = Stream(clear_after=2)
    assert not stream.ask("verdict", verdict="false").done
    stream.hear(*[3.0, 3.0, 3.0, 0.0, 0.0] * 2)
    first, second = (p.alarm_id for p in stream.state.returned)
    assert stream.ask("verdict", verdict="unclear").text == f"alarm {second} is judged unclear"
    assert stream.ask("verdict", verdict="false", label="forklift", alarm_id=first, by="ada").done
    assert stream.ask("verdict", verdict="true", label="bearing", alarm_id=first).done
    judged = [(e.alarm_id, e.verdict, e.label) for e in stream.events if e.event == "verdict"]
    assert judged == [(second, "unclear", None), (first, "false", "forklift"), (first, "true", "bearing")]
    assert not stream.ask("verdict", verdict="maybe").done
    assert not stream.ask("verdict", verdict="true", alarm_id="unknown").done


def test_a_note_is_bounded_and_holds_no_character_that_controls_a_terminal():
    stream = Stream()
    stream.hear(3.0, 3.0, 3.0)
    assert not stream.ask("acknowledge", note="x" * 501).done
    assert not stream.ask("acknowledge", by=7).done
    assert stream.ask("acknowledge", note="\x1b[2Jgone\nnow").done
    assert stream.events[-1].note == "[2Jgone now"
