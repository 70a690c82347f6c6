"""Blocks of windows: nothing that an alarm depends on is lost, and a damaged block is refused."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.history.windows import BlobError, WindowBlock, minutes_from_bytes, minutes_of, minutes_to_bytes
from rigs.history import START, named, windows


def test_a_block_gives_back_every_window_in_full_precision():
    rng = np.random.default_rng(0)
    given = windows([None if r < 0.2 else float(r) * np.pi for r in rng.random(50)])
    block = WindowBlock.from_bytes(WindowBlock.of(named("fan", given)).to_bytes())
    assert list(block.windows()) == given


def test_blocks_of_several_monitors_are_joined_and_taken_apart():
    fan, pump = windows([1.0, 5.0]), windows([None, 2.0], level=7.0)
    one = WindowBlock.of([*named("fan", fan), *named("pump", pump)])
    other = WindowBlock.of(named("pump", windows([3.0], start=START + 60.0, level=7.0)))
    whole = WindowBlock.joined([one, other])
    assert list(whole.of_monitor("fan").windows()) == fan
    assert [w.score for w in whole.of_monitor("pump").windows()] == [None, 2.0, 3.0]
    assert len(whole.of_monitor("other")) == 0


def test_a_minute_counts_its_windows_and_a_minute_without_any_has_no_score():
    scores = [1.0, 2.0, 6.0, *[None] * 9, *[3.0] * 12]
    given = windows(scores)[:24]
    minutes = minutes_of(WindowBlock.of(named("fan", given)), int(START // 3600))
    assert minutes["scored"][:3].tolist() == [3, 12, 0]
    assert minutes["invalid"][:3].tolist() == [9, 0, 0]
    assert minutes["over"][:3].tolist() == [1, 0, 0]
    assert (minutes["low"][0], minutes["mean"][0], minutes["high"][0], minutes["level"][0]) == (1.0, 3.0, 6.0, 4.0)
    assert np.isnan(minutes["mean"][2])
    assert minutes_from_bytes(minutes_to_bytes(minutes)).tobytes() == minutes.tobytes()


@pytest.mark.parametrize("place", range(0, 200, 7))
def test_a_flipped_bit_never_gives_other_windows(place):
    given = windows([1.0, None, 5.0] * 20)
    blob = bytearray(WindowBlock.of(named("fan", given)).to_bytes())
    blob[place % len(blob)] ^= 0x40
    try:
        found = list(WindowBlock.from_bytes(bytes(blob)).windows())
    except BlobError:
        return
    assert found == given  # the bit lay in the padding before the checksum


def test_a_block_that_claims_to_be_huge_is_refused_before_it_is_unpacked():
    blob = bytearray(WindowBlock.of(named("fan", windows([1.0]))).to_bytes())
    blob[5:9] = (2**31).to_bytes(4, "little")
    with pytest.raises(BlobError):
        WindowBlock.from_bytes(bytes(blob))
