"""Frames come out of the pipe as they went in, however they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.audio.protocol import Block, ChildNotice, Decoder, PacketError, encode

PACKETS = [
    ChildNotice("opened", {"device": "USB Audio", "rate": 48000}),
    Block(np.arange(6, dtype=np.float32).reshape(3, 2), first=2**40, end_time=1234.000000001),
    Block(np.zeros((0, 1), np.float32), first=5, end_time=0.5, overflow=True),
    Block(np.full((4, 1), np.nan, np.float32), first=0, end_time=1e6, dropped=True),
    ChildNotice("error", {"what": "gone — très loin", "remedy": ""}),
]


def same(one, other) -> bool:
    if isinstance(one, ChildNotice):
        return one == other
    return (
        np.array_equal(one.samples, other.samples, equal_nan=True)
        and one.samples.shape == other.samples.shape
        and (one.first, one.overflow, one.dropped) == (other.first, other.overflow, other.dropped)
        and abs(one.end_time - other.end_time) < 1e-8
    )


@given(st.lists(st.integers(1, 50), min_size=1))
def test_packets_survive_any_cutting_of_the_stream(cuts):
    stream = b"".join(encode(packet) for packet in PACKETS)
    decoder, got, position, turn = Decoder(), [], 0, 0
    while position < len(stream):
        step = cuts[turn % len(cuts)]
        got += list(decoder.feed(stream[position : position + step]))
        position, turn = position + step, turn + 1
    assert len(got) == len(PACKETS)
    assert all(same(a, b) for a, b in zip(PACKETS, got, strict=True))


def test_bytes_that_are_no_packets_are_refused():
    with pytest.raises(PacketError):
        list(Decoder().feed(b"Expression 'ret' failed in 'src/hostapi/alsa/pa_linux_alsa.c'"))
