"""The life of a source, told by invented events on an invented clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.audio.source_state import Order, SourceStateMachine, SourceTimeouts

P = SourceTimeouts()
STEP = 0.1


class Told:
    """Drives a life through time: blocks or none every 0.1 s, and orders obeyed at once."""

    def __init__(self, *, live: bool = True) -> None:
        self.now = 0.0
        self.life = SourceStateMachine(0.0, live=live)
        self.kills: list[float] = []
        self.spawns: list[float] = []
        self.running = False

    def run(self, seconds: float, *, sound: str = "none", opens: bool = True) -> None:
        """`sound`: noise, zeros or none; `opens`: whether a child stays or ends at once."""
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            order = self.life.tick(self.now)
            if order is Order.SPAWN:
                self.life.spawned(self.now)
                self.spawns.append(self.now)
                self.running = opens
                if not opens:
                    self.life.exited(self.now, "no microphone: waiting for it")
            elif order is Order.KILL:
                self.kills.append(self.now)
                self.running = False
                self.life.exited(self.now, self.life.complaint)
            elif self.running and sound != "none":
                self.life.block(self.now, STEP, zeros=sound == "zeros")
            elif self.running:
                self.life.nothing(self.now)

    @property
    def states(self) -> list[str]:
        return [change.state for change in self.life.take_changes()]

    @property
    def state(self) -> str:
        return self.life.current.state


def test_a_source_that_delivers_is_healthy_and_says_so_once():
    told = Told()
    told.run(60, sound="noise")
    assert told.states == ["healthy"]
    assert told.life.restarts == 0


def test_samples_that_stop_are_noticed_within_three_seconds_and_the_child_is_replaced():
    told = Told()
    told.run(20, sound="noise")
    stopped = told.now
    told.run(3, sound="none")
    assert told.states == ["healthy", "stalled", "restarting"]
    assert told.kills[0] - stopped <= 3
    assert told.spawns[-1] - stopped <= 3.5


def test_samples_that_pause_for_less_than_two_seconds_are_no_stall():
    told = Told()
    told.run(20, sound="noise")
    told.run(1.8, sound="none")
    told.run(5, sound="noise")
    assert told.states == ["healthy"]


def test_a_stalled_source_that_delivers_again_in_time_keeps_its_child():
    told = Told()
    told.run(20, sound="noise")
    told.run(2.2, sound="none")
    told.run(5, sound="noise")
    assert told.states == ["healthy", "stalled", "healthy"]
    assert told.kills == []


def test_a_reader_that_was_held_up_does_not_blame_the_microphone():
    told = Told()
    told.run(20, sound="noise")
    for _ in range(3000):
        told.now += STEP
        assert told.life.tick(told.now) is Order.NOTHING
    told.run(1, sound="noise")
    assert told.states == ["healthy"]


def test_an_absent_microphone_is_waited_for_then_said_to_have_failed_then_found():
    told = Told()
    told.run(1, opens=False)
    assert told.life.current.reason == "no microphone: waiting for it"
    assert told.state == "starting"
    told.run(30, opens=False)
    assert told.state == "failed"
    assert told.states == ["starting", "failed"]
    returned = told.now
    told.run(10, sound="noise")
    assert told.state == "healthy"
    assert told.life.current.since - returned <= P.longest_backoff + 2 * STEP


def test_attempts_come_ever_more_slowly_and_never_end():
    told = Told()
    told.run(3600, opens=False)
    pauses = [later - sooner for sooner, later in pairwise(told.spawns)]
    assert pauses[:5] == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0], abs=0.15)
    assert max(pauses) < P.longest_backoff + 0.15
    assert len(told.spawns) > 3600 / (P.longest_backoff + 0.2)


def test_a_device_that_opens_and_stays_mute_is_killed_and_its_return_found_within_ten_seconds():
    told = Told()
    told.run(20, sound="noise")
    told.run(61, sound="none")
    assert told.state == "failed"
    assert told.life.current.reason == "the device was opened but gives no samples"
    returned = told.now
    told.run(10, sound="noise")
    assert told.life.current.since - returned < 9


def test_a_box_that_is_slow_to_boot_is_given_time_and_later_is_not():
    told = Told()
    told.run(P.at_boot - 1)
    assert told.kills == []
    told.run(5, sound="noise")
    told.run(P.stall + P.grace + P.first_sample + 2)
    assert len(told.kills) == 2


def test_a_source_lost_again_and_again_shortly_after_its_start_is_retried_slowly_but_has_not_failed():
    told = Told()
    for _ in range(12):
        told.run(P.longest_backoff + 1, sound="noise", opens=True)
        told.life.exited(told.now, "lost")
        told.running = False
    assert "failed" not in told.states


def test_a_source_that_was_steady_again_is_opened_again_at_once():
    told = Told()
    for seconds in (1, 1, 1, 1, 1, 1, 60):
        told.run(P.longest_backoff + seconds, sound="noise")
        told.life.exited(told.now, "lost")
        told.running = False
    lost = told.now
    told.run(2, sound="noise")
    assert told.spawns[-1] - lost < 2 * P.backoff


def test_zeros_are_silence_kept_and_said_once():
    told = Told()
    told.run(7200, sound="zeros")
    assert told.states == ["healthy", "silent"]
    assert told.kills == []
    told.run(1, sound="noise")
    assert told.state == "healthy"


def test_silence_after_sound_is_opened_anew_once_and_then_left_alone():
    told = Told()
    told.run(60, sound="noise")
    told.run(7200, sound="zeros")
    assert len(told.kills) == 1
    assert told.state == "silent"
    assert told.states == ["healthy", "silent", "restarting", "silent"]


def test_a_device_that_is_silent_every_night_is_opened_anew_once_an_hour_at_most():
    told = Told()
    for _ in range(20):
        told.run(60, sound="noise")
        told.run(300, sound="zeros")
    assert len(told.kills) == 2


def test_a_silent_recording_is_never_opened_anew():
    told = Told(live=False)
    told.run(60, sound="noise")
    told.run(3600, sound="zeros")
    assert told.kills == []
    assert told.state == "silent"


def test_a_recording_that_is_over_stays_over():
    told = Told(live=False)
    told.run(10, sound="noise")
    told.life.ended(told.now)
    told.life.exited(told.now, "the capture child ended (status 0)")
    told.run(100)
    assert told.states == ["healthy", "ended"]
    assert len(told.spawns) == 1


def test_the_first_attempt_is_over_when_a_sample_comes_or_the_child_ends():
    heard, absent, hangs = Told(), Told(), Told()
    heard.run(0.5, sound="noise")
    absent.run(0.5, opens=False)
    hangs.run(P.at_boot - 1)
    assert (heard.life.attempted, absent.life.attempted, hangs.life.attempted) == (True, True, False)
    hangs.run(2)
    assert hangs.life.attempted


def test_the_state_began_when_it_began_whatever_the_reason_became():
    told = Told()
    told.run(1, opens=False)
    began = told.life.current.since
    told.life.spawned(told.now)
    told.life.exited(told.now, "in use by another program")
    assert (told.life.current.reason, told.life.current.since) == ("in use by another program", began)


@given(
    st.lists(
        st.tuples(st.sampled_from(["noise", "zeros", "none"]), st.booleans(), st.floats(0.1, 20)),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_happened_a_device_that_delivers_is_heard_within_ten_seconds(past):
    told = Told()
    for sound, opens, seconds in past:
        told.run(seconds, sound=sound, opens=opens)
        if not opens and told.running:
            told.life.exited(told.now, "pulled")
            told.running = False
    told.run(10, sound="noise")
    assert told.state == "healthy"
