"""Sound on its way out of the child: resampling without smear, and drops that are counted."""

from __future__ import annotations

import fcntl
import os
import termios
from array import array
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from asd_agent.audio.files import resample
from asd_agent.audio.protocol import Block, Decoder
from asd_agent.audio.sender import BUFFER_SECONDS, Chunk, ChunkResampler, Sender
from rigs.waiting import wait_until

RATE = 48_000


def sound(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)


def pieces(samples: np.ndarray, rate: int = RATE, size: int = 2400, first: int = 0) -> Iterator[Chunk]:
    for i in range(0, len(samples), size):
        part = samples[i : i + size]
        yield Chunk(part, first + i, (first + i + len(part)) / rate)


def joined(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([block.samples for block in blocks])


def test_sound_at_16_khz_passes_untouched():
    samples = sound(1, 16_000, channels=2)
    converter = ChunkResampler(16_000, 2)
    blocks = [b for piece in pieces(samples, 16_000, 800) for b in converter.feed(piece)]
    assert np.array_equal(joined(blocks), samples)
    assert [b.first for b in blocks] == list(range(0, 16_000, 800))


@pytest.mark.parametrize("rate", [44_100, 48_000, 8_000])
def test_resampled_in_pieces_is_resampled_whole_and_nothing_is_shifted(rate: int):
    samples = sound(2, rate)
    converter = ChunkResampler(rate, 1)
    blocks = [b for piece in pieces(samples, rate, rate // 20) for b in converter.feed(piece)]
    got, whole = joined(blocks)[:, 0], resample(samples[:, 0], rate, 16_000)
    assert len(got) > 0.97 * len(whole)
    assert np.abs(got - whole[: len(got)]).max() < 1e-4
    ends = [(b.first + len(b.samples)) / 16_000 for b in blocks]
    assert [b.end_time for b in blocks] == pytest.approx(ends, abs=1e-4)


def test_dropped_sound_leaves_a_jump_of_its_length_and_no_smear():
    before, after = sound(1, seed=1), sound(1, seed=2)
    converter = ChunkResampler(RATE, 1)
    blocks = [b for piece in pieces(before) for b in converter.feed(piece)]
    blocks += [b for piece in pieces(after, first=3 * RATE) for b in converter.feed(piece)]
    jump = next(i for i, b in enumerate(blocks) if b.dropped)
    assert joined(blocks[:jump]).shape[0] == 16_000
    assert blocks[jump].first == 48_000
    assert not any(b.dropped for b in blocks[jump + 1 :])
    alone = resample(after[:, 0], RATE, 16_000)
    assert np.abs(joined(blocks[jump:])[:2000, 0] - alone[:2000]).max() < 1e-4


def test_an_overflow_is_passed_on_even_when_the_resampler_holds_its_sound_back():
    converter = ChunkResampler(RATE, 1)
    converter.feed(Chunk(sound(0.05), 0, 0.05))
    blocks = converter.feed(Chunk(sound(0.0001), 2400, 0.2, overflow=True))
    assert [b.overflow for b in blocks] == [False, True]


def read_until(pipe: int, last: float) -> list[Block]:
    """Blocks up to the one whose last sample has this value."""
    decoder, blocks = Decoder(), []
    while data := os.read(pipe, 2**20):
        for frame in decoder.feed(data):
            assert isinstance(frame, Block)
            blocks.append(frame)
            if frame.samples[-1, 0] == last:
                return blocks
    raise AssertionError("the pipe closed early")


def waiting_bytes(pipe: int) -> int:
    """Bytes that were written and not yet read."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_a_parent_that_does_not_read_costs_the_oldest_sound_and_is_told_how_much():
    reading, writing = os.pipe()
    capacity = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # less than the block of a chunk below
    sender = Sender(writing, 16_000, 1)
    mark, seconds = np.ones((1600, 1), np.float32), 3 * BUFFER_SECONDS
    end = 1600 + round(seconds * 16_000)
    first, *others = pieces(sound(seconds, 16_000), 16_000, 1600, first=1600)
    sender.put(Chunk(mark, 0, 0.1))
    blocks = read_until(reading, 1.0)
    # The sender is in the middle of this chunk, and stays there, before more comes than it keeps.
    sender.put(first)
    wait_until(lambda: waiting_bytes(reading) == capacity, "the pipe is not full")
    for piece in others:
        sender.put(piece)
    sender.put(Chunk(2 * mark, end, (end + 1600) / 16_000))
    blocks += read_until(reading, 2.0)
    os.close(reading)
    lost = sum(b.first - (a.first + len(a.samples)) for a, b in pairwise(blocks))
    received = sum(len(b.samples) for b in blocks)
    assert [b.dropped for b in blocks].count(True) == 1
    assert received + lost == end + 1600
    assert received == len(mark) + len(first.samples) + round(BUFFER_SECONDS * 16_000)
    assert all(b.end_time == pytest.approx((b.first + len(b.samples)) / 16_000) for b in blocks)
