"""The ring against a plain list that keeps everything."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.audio.ring import Gap, Missing, Ring, Stretch
from rigs.waiting import PATIENCE


def ring_of(samples: int, channels: int = 1) -> Ring:
    return Ring(seconds=samples, channels=channels, rate=1)


def column(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


@given(
    capacity=st.integers(1, 40),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=30),
    first=st.integers(0, 300),
    count=st.integers(1, 40),
)
def test_every_read_is_what_was_written_or_says_why_not(capacity, steps, first, count):
    ring, written, heard = ring_of(capacity, 2), np.zeros((0, 2), np.float32), np.zeros(0, bool)
    for is_gap, length in steps:
        fresh = np.arange(2 * length, dtype=np.float32).reshape(-1, 2) + len(written) + 1
        if is_gap:
            fresh = np.zeros_like(fresh)
            ring.write_gap(length)
        else:
            ring.write(fresh)
        written = np.concatenate((written, fresh))
        heard = np.concatenate((heard, np.full(length, not is_gap)))
    assert ring.end == len(written)
    assert ring.begin == max(0, len(written) - capacity)
    count = min(count, capacity)
    got = ring.read(first, count)
    if first < ring.begin:
        assert got is Missing.OVERWRITTEN
    elif first + count > ring.end:
        assert got is Missing.NOT_YET
    else:
        assert isinstance(got, Stretch)
        assert np.array_equal(got.samples, written[first : first + count])
        marked = np.zeros(len(written), bool)
        for gap in got.gaps:
            assert first <= gap.first < gap.end <= first + count
            marked[gap.first : gap.end] = True
        assert np.array_equal(marked[first : first + count], ~heard[first : first + count])
        assert got.has_gap == (not heard[first : first + count].all())


def test_a_stretch_is_a_copy():
    ring = ring_of(4)
    ring.write(column([1, 2, 3, 4]))
    before = ring.read(0, 4)
    ring.write(column([9, 9, 9, 9]))
    assert isinstance(before, Stretch)
    assert before.samples[:, 0].tolist() == [1, 2, 3, 4]


def test_gaps_that_touch_are_one_gap():
    ring = ring_of(10)
    ring.write(column([1]))
    ring.write_gap(2)
    ring.write_gap(3)
    assert ring.read(0, 6).gaps == (Gap(1, 6),)


def test_gaps_that_are_no_longer_kept_are_forgotten():
    ring = ring_of(10)
    for _ in range(1000):
        ring.write(column([1, 2]))
        ring.write_gap(1)
    assert len(ring._gaps) <= 4


def test_heard_samples_can_be_declared_a_gap_later():
    ring = ring_of(10)
    ring.write(column([1, 2, 3, 4, 5, 6]))
    ring.write_gap(1)
    ring.mark_gap(-5, 2)
    ring.mark_gap(4, 6)
    assert ring.read(0, 7).gaps == (Gap(0, 2), Gap(4, 7))
    ring.mark_gap(1, 5)
    assert ring.read(0, 7).gaps == (Gap(0, 7),)


def test_an_outage_longer_than_the_ring_keeps_the_count():
    ring = ring_of(10)
    ring.write(column([1, 2, 3]))
    ring.write_gap(1_000_000_000)
    ring.write(column([7]))
    assert ring.end == 1_000_000_004
    newest = ring.read(ring.end - 2, 2)
    assert newest.samples[:, 0].tolist() == [0, 7]
    assert newest.gaps == (Gap(1_000_000_002, 1_000_000_003),)


def test_more_than_the_ring_keeps_cannot_be_asked_for():
    with pytest.raises(ValueError, match="more than the ring keeps"):
        ring_of(3).read(0, 4)


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="shape"):
        ring_of(3, channels=2).write(column([1, 2]))


def test_a_sleeper_wakes_when_its_sample_arrives_and_not_before():
    ring = ring_of(10)
    ring.write(column([1]))
    assert not ring.wait_for(2, timeout=0.01)
    awake = threading.Event()
    sleeper = threading.Thread(target=lambda: ring.wait_for(3, timeout=PATIENCE) and awake.set())
    sleeper.start()
    ring.write(column([2]))
    assert not awake.is_set()
    ring.write(column([3]))
    assert awake.wait(PATIENCE)
    sleeper.join(PATIENCE)


def test_readers_never_see_a_block_half_written():
    ring, wrong, done = ring_of(64), [], threading.Event()

    def read() -> None:
        while not done.is_set():
            got = ring.read(max(0, ring.end - 32), 32)
            if isinstance(got, Stretch) and (np.diff(got.samples[:, 0]) != 1).any():
                wrong.append(got)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(2000):
        ring.write(np.arange(i * 7, i * 7 + 7, dtype=np.float32)[:, None])
    done.set()
    for reader in readers:
        reader.join(PATIENCE)
    assert wrong == []
