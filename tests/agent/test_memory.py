from pathlib import Path

import numpy as np

from asd_agent.memory import give_back

PIECES, PIECE_BYTES = 4000, 16_384


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_lies_free_between_pieces_in_use_goes_back():
    give_back()
    pieces = [np.ones(PIECE_BYTES, np.uint8) for _ in range(PIECES)]
    kept = pieces[::64]  # a piece in use here and there: the allocator alone cannot shrink past the last of them
    del pieces
    before = resident()
    give_back()
    assert before - resident() > PIECES * PIECE_BYTES / 2
    assert all(k.all() for k in kept)
