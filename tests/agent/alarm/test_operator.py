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
