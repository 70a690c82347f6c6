"""A flood of alarms is named once, when its minute is over."""

from __future__ import annotations

from asd_agent.service.flood import FloodGuard


def test_monitors_that_raise_within_a_minute_are_named_together_once():
    guard = FloodGuard()
    for second, name in enumerate(["a", "b", "a", "c"]):
        guard.record(name, 100.0 + second)
        assert guard.cycle(100.0 + second) is None
    notice = guard.cycle(160.0)
    assert notice is not None
    assert (notice.event, notice.count) == ("flood", 3)
    assert notice.text.endswith("a, b, c")
    assert guard.cycle(300.0) is None


def test_two_monitors_or_three_that_lie_apart_are_no_flood():
    guard = FloodGuard()
    guard.record("a", 0.0)
    guard.record("b", 10.0)
    assert guard.cycle(60.0) is None
    guard.record("c", 61.0)
    assert guard.cycle(130.0) is None
