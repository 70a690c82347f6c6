"""States of a source, driven by invented events on an invented clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.audio.source_state import SourceAction, SourceStateMachine, SourceTimeouts

P = SourceTimeouts()
STEP = 0.1


class Driver:
    """Drives a state machine through time: blocks or none every 0.1 s, and actions taken at once."""

    def __init__(self, *, live: bool = True) -> None:
        self.now = 0.0
        self.machine = SourceStateMachine(0.0, live=live)
        self.kills: list[float] = []
        self.spawns: list[float] = []
        self.running = False

    def run(self, seconds: float, *, sound: str = "none", opens: bool = True) -> None:
        """`sound`: noise, zeros or none; `opens`: whether a child stays or ends at once."""
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            action = self.machine.tick(self.now)
            if action is SourceAction.SPAWN:
                self.machine.spawned(self.now)
                self.spawns.append(self.now)
                self.running = opens
                if not opens:
                    self.machine.exited(self.now, "no microphone: waiting for it")
            elif action is SourceAction.KILL:
                self.kills.append(self.now)
                self.running = False
                self.machine.exited(self.now, self.machine.kill_reason)
            elif self.running and sound != "none":
                self.machine.block(self.now, STEP, zeros=sound == "zeros")
            elif self.running:
                self.machine.no_block(self.now)

    @property
    def states(self) -> list[str]:
        return [change.state for change in self.machine.take_changes()]

    @property
    def state(self) -> str:
        return self.machine.current.state


def test_a_source_that_delivers_is_healthy_and_says_so_once():
    driven = Driver()
    driven.run(60, sound="noise")
    assert driven.states == ["healthy"]
    assert driven.machine.restarts == 0


def test_samples_that_stop_are_noticed_within_three_seconds_and_the_child_is_replaced():
    driven = Driver()
    driven.run(20, sound="noise")
    stopped = driven.now
    driven.run(3, sound="none")
    assert driven.states == ["healthy", "stalled", "restarting"]
    assert driven.kills[0] - stopped <= 3
    assert driven.spawns[-1] - stopped <= 3.5


def test_samples_that_pause_for_less_than_two_seconds_are_no_stall():
    driven = Driver()
    driven.run(20, sound="noise")
    driven.run(1.8, sound="none")
    driven.run(5, sound="noise")
    assert driven.states == ["healthy"]


def test_a_stalled_source_that_delivers_again_in_time_keeps_its_child():
    driven = Driver()
    driven.run(20, sound="noise")
    driven.run(2.2, sound="none")
    driven.run(5, sound="noise")
    assert driven.states == ["healthy", "stalled", "healthy"]
    assert driven.kills == []


def test_a_reader_that_was_held_up_does_not_blame_the_microphone():
    driven = Driver()
    driven.run(20, sound="noise")
    for _ in range(3000):
        driven.now += STEP
        assert driven.machine.tick(driven.now) is SourceAction.NOTHING
    driven.run(1, sound="noise")
    assert driven.states == ["healthy"]


def test_an_absent_microphone_is_waited_for_then_said_to_have_failed_then_found():
    driven = Driver()
    driven.run(1, opens=False)
    assert driven.machine.current.reason == "no microphone: waiting for it"
    assert driven.state == "starting"
    driven.run(30, opens=False)
    assert driven.state == "failed"
    assert driven.states == ["starting", "failed"]
    returned = driven.now
    driven.run(10, sound="noise")
    assert driven.state == "healthy"
    assert driven.machine.current.since - returned <= P.longest_backoff + 2 * STEP


def test_attempts_come_ever_more_slowly_and_never_end():
    driven = Driver()
    driven.run(3600, opens=False)
    pauses = [later - sooner for sooner, later in pairwise(driven.spawns)]
    assert pauses[:5] == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0], abs=0.15)
    assert max(pauses) < P.longest_backoff + 0.15
    assert len(driven.spawns) > 3600 / (P.longest_backoff + 0.2)


def test_a_device_that_opens_and_stays_mute_is_killed_and_its_return_found_within_ten_seconds():
    driven = Driver()
    driven.run(20, sound="noise")
    driven.run(61, sound="none")
    assert driven.state == "failed"
    assert driven.machine.current.reason == "the device was opened but gives no samples"
    returned = driven.now
    driven.run(10, sound="noise")
    assert driven.machine.current.since - returned < 9


def test_a_box_that_is_slow_to_boot_is_given_time_and_later_is_not():
    driven = Driver()
    driven.run(P.at_boot - 1)
    assert driven.kills == []
    driven.run(5, sound="noise")
    driven.run(P.stall + P.grace + P.first_sample + 2)
    assert len(driven.kills) == 2


def test_a_source_lost_again_and_again_shortly_after_its_start_is_retried_slowly_but_has_not_failed():
    driven = Driver()
    for _ in range(12):
        driven.run(P.longest_backoff + 1, sound="noise", opens=True)
        driven.machine.exited(driven.now, "lost")
        driven.running = False
    assert "failed" not in driven.states


def test_a_source_that_was_steady_again_is_opened_again_at_once():
    driven = Driver()
    for seconds in (1, 1, 1, 1, 1, 1, 60):
        driven.run(P.longest_backoff + seconds, sound="noise")
        driven.machine.exited(driven.now, "lost")
        driven.running = False
    lost = driven.now
    driven.run(2, sound="noise")
    assert driven.spawns[-1] - lost < 2 * P.backoff


def test_zeros_are_silence_kept_and_said_once():
    driven = Driver()
    driven.run(7200, sound="zeros")
    assert driven.states == ["healthy", "silent"]
    assert driven.kills == []
    driven.run(1, sound="noise")
    assert driven.state == "healthy"


def test_silence_after_sound_is_opened_anew_once_and_then_left_alone():
    driven = Driver()
    driven.run(60, sound="noise")
    driven.run(7200, sound="zeros")
    assert len(driven.kills) == 1
    assert driven.state == "silent"
    assert driven.states == ["healthy", "silent", "restarting", "silent"]


def test_a_device_that_is_silent_every_night_is_opened_anew_once_an_hour_at_most():
    driven = Driver()
    for _ in range(20):
        driven.run(60, sound="noise")
        driven.run(300, sound="zeros")
    assert len(driven.kills) == 2


def test_a_silent_recording_is_never_opened_anew():
    driven = Driver(live=False)
    driven.run(60, sound="noise")
    driven.run(3600, sound="zeros")
    assert driven.kills == []
    assert driven.state == "silent"


def test_a_recording_that_is_over_stays_over():
    driven = Driver(live=False)
    driven.run(10, sound="noise")
    driven.machine.ended(driven.now)
    driven.machine.exited(driven.now, "the capture child ended (status 0)")
    driven.run(100)
    assert driven.states == ["healthy", "ended"]
    assert len(driven.spawns) == 1


def test_the_first_attempt_is_over_when_a_sample_comes_or_the_child_ends():
    heard, absent, hangs = Driver(), Driver(), Driver()
    heard.run(0.5, sound="noise")
    absent.run(0.5, opens=False)
    hangs.run(P.at_boot - 1)
    assert (heard.machine.attempted, absent.machine.attempted, hangs.machine.attempted) == (True, True, False)
    hangs.run(2)
    assert hangs.machine.attempted


def test_the_state_began_when_it_began_whatever_the_reason_became():
    driven = Driver()
    driven.run(1, opens=False)
    began = driven.machine.current.since
    driven.machine.spawned(driven.now)
    driven.machine.exited(driven.now, "in use by another program")
    assert (driven.machine.current.reason, driven.machine.current.since) == ("in use by another program", began)


@given(
    st.lists(
        st.tuples(st.sampled_from(["noise", "zeros", "none"]), st.booleans(), st.floats(0.1, 20)),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_happened_a_device_that_delivers_is_heard_within_ten_seconds(past):
    driven = Driver()
    for sound, opens, seconds in past:
        driven.run(seconds, sound=sound, opens=opens)
        if not opens and driven.running:
            driven.machine.exited(driven.now, "pulled")
            driven.running = False
    driven.run(10, sound="noise")
    assert driven.state == "healthy"
