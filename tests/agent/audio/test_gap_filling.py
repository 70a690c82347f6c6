"""Places of blocks in the ring when sound was lost, by clocks that the test turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.audio.protocol import Block
from asd_agent.audio.ring import Gap, Ring
from asd_agent.audio.sample_clock import EVENLY, IN_CHUNKS, GapFiller, LatenessWatch

RATE = 16_000
SIZE = 800


class Hands:
    """Clocks whose hands are set by hand."""

    boot_id = "test"

    def __init__(self) -> None:
        self.now, self.wall = 1000.0, 1_700_000_000.0

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> float:
        return self.wall + self.now

    def synchronised(self) -> bool | None:
        return None


class Microphone:
    """A device that plays the sample's own true time, so that a misplaced sample shows."""

    def __init__(self, *, speed: float | None = None, seconds: float = 600.0, watch: LatenessWatch = EVENLY) -> None:
        self.hands, self.ring = Hands(), Ring(seconds)
        self.gap_filler = GapFiller(self.ring, self.hands, speed=speed, watch=watch)
        self.rate = RATE * (speed or 1.0)
        self.began = self.hands.now
        self.first = 0

    def open(self) -> None:
        """A new child: it counts from zero."""
        self.gap_filler.reopened()
        self.first = 0

    def record(self, seconds: float, *, jump: int = 0, overflow: bool = False, late: float = 0.0) -> None:
        """Sound arrives in blocks as time goes by."""
        self.first += jump
        for i in range(round(seconds * self.rate / SIZE)):
            self.hands.now += SIZE / self.rate
            truth = (self.hands.now - self.began) * RATE
            samples = np.linspace(truth - SIZE + 1, truth, SIZE, dtype=np.float32)[:, None] / RATE
            block = Block(
                samples, self.first, self.hands.now + late, overflow=overflow and i == 0, dropped=jump > 0 and i == 0
            )
            self.gap_filler.place(block)
            self.first += SIZE

    def record_page(self, late: float = 0.0) -> None:
        """The sound of a second arrives at once, as a page of Ogg does."""
        self.hands.now += 1.0
        self.gap_filler.place(Block(np.zeros((RATE, 1), np.float32), self.first, self.hands.now + late))
        self.first += RATE

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self.ring.read(self.ring.begin, min(self.ring.end, self.ring.capacity)).gaps

    def misplaced(self) -> float:
        """Seconds by which the newest sample is off its true place in the ring."""
        newest = self.ring.read(self.ring.end - 1, 1)
        return abs(float(newest.samples[0, 0]) - self.ring.end / RATE)


def test_sound_without_loss_has_no_gap_and_its_true_moment():
    mic = Microphone()
    mic.record(30)
    assert mic.gaps == ()
    assert mic.ring.end == 30 * RATE
    assert mic.gap_filler.sample_clock.monotonic(RATE) == pytest.approx(mic.began + 1)
    assert mic.gap_filler.utc(RATE) == pytest.approx(1_700_000_000 + mic.began + 1)


def test_a_restart_leaves_a_gap_as_long_as_the_time_that_was_missed():
    mic = Microphone()
    mic.record(30)
    mic.gap_filler.left()
    mic.hands.now += 7.25
    mic.open()
    mic.record(5)
    assert mic.gaps == (Gap(30 * RATE, round(37.25 * RATE)),)
    assert mic.gap_filler.losses.samples == round(7.25 * RATE)
    assert mic.gap_filler.losses.gaps == 1
    assert mic.misplaced() < 0.001


def test_while_a_source_is_away_windows_fall_due_as_gap():
    mic = Microphone()
    mic.record(30)
    mic.gap_filler.left()
    for _ in range(100):
        mic.hands.now += 0.1
        mic.gap_filler.fill(mic.hands.now)
    assert mic.ring.end == pytest.approx(39 * RATE, abs=2)
    mic.open()
    mic.record(5)
    assert mic.gaps == (Gap(30 * RATE, 40 * RATE),)
    assert mic.gap_filler.losses.gaps == 1


def test_a_source_that_never_delivered_is_filled_from_its_first_attempt_on():
    mic = Microphone()
    began = mic.hands.now
    mic.gap_filler.begin(began)
    mic.hands.now += 100
    mic.gap_filler.fill(mic.hands.now)
    assert mic.ring.end == 99 * RATE  # all but the last second, in which sound may still arrive
    mic.gap_filler.begin(mic.hands.now)  # a later attempt counts nothing anew
    mic.open()
    mic.record(5)
    assert mic.gaps == (Gap(0, 100 * RATE),)
    assert mic.misplaced() == 0
    assert mic.gap_filler.utc(100 * RATE) == pytest.approx(1_700_000_000 + began + 100)


def test_a_source_that_delivers_or_was_never_tried_is_not_filled():
    never = Microphone()
    never.hands.now += 100
    never.gap_filler.fill(never.hands.now)
    assert never.ring.end == 0
    there = Microphone()
    there.record(5)
    there.hands.now += 1.9
    there.gap_filler.fill(there.hands.now)
    assert there.ring.end == 5 * RATE


def test_a_device_that_first_empties_an_old_buffer_does_not_shift_what_follows():
    mic = Microphone()
    mic.record(30)
    mic.gap_filler.left()
    mic.hands.now += 10
    mic.gap_filler.fill(mic.hands.now)
    mic.hands.now -= 3  # its first blocks hold sound of three seconds ago
    mic.open()
    mic.record(6)
    assert mic.misplaced() < 0.001
    assert mic.gaps == (Gap(30 * RATE, 39 * RATE + 1),)


def test_a_restart_too_short_to_measure_is_a_gap_all_the_same():
    mic = Microphone()
    mic.record(30)
    mic.open()
    mic.record(1)
    assert mic.gaps == (Gap(30 * RATE, 30 * RATE + 1),)


def test_a_first_block_that_came_late_after_a_restart_does_not_spoil_the_moments_of_the_next():
    mic = Microphone()
    mic.record(100)
    mic.gap_filler.left()
    mic.hands.now += 5
    mic.open()
    mic.record(0.05, late=0.04)
    mic.record(3)
    assert mic.gap_filler.sample_clock.monotonic(mic.ring.end) == pytest.approx(mic.hands.now, abs=0.001)


def test_sound_dropped_by_the_child_is_a_gap_of_its_length():
    mic = Microphone()
    mic.record(10)
    mic.hands.now += 2
    mic.record(5, jump=2 * RATE)
    assert mic.gaps == (Gap(10 * RATE, 12 * RATE),)


def test_an_overflow_is_a_gap_as_long_as_the_clock_says():
    mic = Microphone()
    mic.record(10)
    mic.hands.now += 0.7
    mic.record(5, overflow=True)
    assert mic.gaps == (Gap(10 * RATE, round(10.7 * RATE)),)
    assert mic.misplaced() < 0.001


def test_sound_lost_without_a_word_is_found_by_the_clock_and_what_is_doubtful_is_marked():
    mic = Microphone()
    mic.record(60)
    mic.hands.now += 0.3
    mic.record(10)
    assert mic.misplaced() < 0.002
    (gap,) = mic.gaps
    assert gap.first <= 60 * RATE < gap.end
    assert gap.count < 4 * RATE
    assert mic.gap_filler.losses.gaps == 1


def test_blocks_that_are_late_for_a_second_are_no_loss():
    mic = Microphone()
    mic.record(60)
    mic.record(1.5, late=0.2)
    mic.record(60)
    assert mic.gaps == ()


def test_a_step_of_the_wall_clock_moves_no_sample_and_mends_its_utc():
    mic = Microphone()
    mic.record(10)
    mic.hands.wall += 3600
    mic.gap_filler.follow_wall()
    mic.gap_filler.follow_wall()
    mic.record(10)
    assert mic.gap_filler.wall_steps == 1
    assert mic.gaps == ()
    assert mic.gap_filler.utc(0) == pytest.approx(1_700_003_600 + mic.began)


def test_a_recording_keeps_its_own_time_line_at_any_speed():
    mic = Microphone(speed=50.0)
    mic.record(2)
    mic.hands.wall += 3600
    mic.gap_filler.follow_wall()
    assert mic.gap_filler.utc(RATE * 60) - mic.gap_filler.utc(0) == pytest.approx(60)
    assert mic.gap_filler.utc(0) == pytest.approx(1_700_000_000 + mic.began)
    assert mic.gap_filler.sample_clock.monotonic(RATE * 60) == pytest.approx(mic.began + 60 / 50)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["restart", "drop", "overflow"]),
            st.floats(0.001, 20).map(lambda s: round(s, 3)),
            st.integers(1, 15),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_after_any_losses_each_sample_is_within_fifty_milliseconds_of_its_moment(losses):
    mic = Microphone(seconds=400)
    mic.record(3)
    for kind, away, then in losses:
        mic.hands.now += away
        if kind == "restart":
            mic.gap_filler.left()
            mic.gap_filler.fill(mic.hands.now)
            mic.open()
        mic.record(then, jump=round(away * RATE) if kind == "drop" else 0, overflow=kind == "overflow")
        assert mic.misplaced() < 0.05
    assert mic.gap_filler.losses.gaps == len(losses)
    elapsed = (mic.hands.now - mic.began) * RATE
    assert mic.ring.end == pytest.approx(elapsed, abs=0.05 * RATE)


LATE = (0.0, 0.06, 0.1, 0.05, 0.09, 0.07, 0.02, 0.08)
"""Lateness of pages of ffmpeg, of which nothing was lost."""


@pytest.mark.parametrize(("watch", "gaps"), [(EVENLY, True), (IN_CHUNKS, False)])
def test_a_stream_in_pages_has_no_gap_where_that_is_expected(watch: LatenessWatch, gaps: bool):
    stream = Microphone(watch=watch)
    for late in LATE * 10:
        stream.record_page(late)
    assert bool(stream.gaps) is gaps


def test_a_second_that_a_server_leaves_out_is_found():
    stream = Microphone(watch=IN_CHUNKS)
    for late in LATE * 2:
        stream.record_page(late)
    stream.hands.now += 1.5
    for late in LATE * 2:
        stream.record_page(late)
    assert stream.gap_filler.losses.samples == pytest.approx(1.5 * RATE, rel=0.02)
    assert stream.gap_filler.losses.gaps == 1
