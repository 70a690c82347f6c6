"""Packets of two threads on one pipe: each arrives whole."""

from __future__ import annotations

import os
import threading

import numpy as np

from asd_agent.audio.protocol import Block, ChildNotice, Decoder
from asd_agent.audio.sender import send


def test_a_notice_does_not_begin_inside_a_block():
    """Blocks are larger than the pipe, so that each is written in parts."""
    out, pipe = os.pipe()
    blocks, notices = 20, 200
    block = Block(np.zeros((50_000, 1), np.float32), 0, 1.0, overflow=False, dropped=False)
    writers = [
        threading.Thread(target=lambda: [send(pipe, block) for _ in range(blocks)]),
        threading.Thread(target=lambda: [send(pipe, ChildNotice("opened", {"n": n})) for n in range(notices)]),
    ]
    for writer in writers:
        writer.start()
    decoder, found = Decoder(), []
    while len(found) < blocks + notices:
        found += list(decoder.feed(os.read(out, 65_536)))
    for writer in writers:
        writer.join()
    assert [p.detail["n"] for p in found if isinstance(p, ChildNotice)] == list(range(notices))
    assert sum(isinstance(p, Block) for p in found) == blocks
    os.close(out)
    os.close(pipe)
