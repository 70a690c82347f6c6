"""A bounded queue between two threads: what it drops, and that it counts it."""

from __future__ import annotations

import pytest

from asd_agent.mqtt.connection import Received
from asd_agent.mqtt.inbox import Inbox


@pytest.mark.parametrize(("keep_newest", "kept"), [(False, [b"0", b"1", b"2"]), (True, [b"2", b"3", b"4"])])
def test_a_full_inbox_drops_and_counts(keep_newest, kept):
    inbox = Inbox(3, keep_newest=keep_newest)
    for number in range(5):
        inbox.put(Received("hall/press", str(number).encode(), retained=False))
    messages, dropped = inbox.take()
    assert ([m.payload for m in messages], dropped) == (kept, 2)
    assert inbox.take() == ([], 0)
