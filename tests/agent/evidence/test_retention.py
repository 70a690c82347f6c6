"""Stored evidence stays within its bounds, and the least missed is deleted first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.evidence.retention import RetentionItem, RetentionLimits, plan_retention

BOUNDS = RetentionLimits(keep_seconds=1000.0, max_bytes=100, free_bytes=50)
items = st.lists(
    st.builds(
        RetentionItem,
        id=st.uuids().map(str),
        bytes=st.integers(0, 60),
        age_seconds=st.floats(0, 2000),
        acknowledged=st.booleans(),
    ),
    unique_by=lambda i: i.id,
    max_size=12,
)


def test_nothing_goes_while_there_is_room():
    assert (
        plan_retention(
            [RetentionItem("a", 40, 10, False), RetentionItem("b", 40, 999, True)], BOUNDS, free=1000, incoming=20
        ).remove
        == ()
    )


def test_what_is_too_old_goes_acknowledged_or_not():
    kept = [RetentionItem("a", 1, 1001, False), RetentionItem("b", 1, 1000, True), RetentionItem("c", 1, 5000, True)]
    assert set(plan_retention(kept, BOUNDS, free=1000).remove) == {"a", "c"}


def test_the_acknowledged_go_first_each_the_oldest_first():
    kept = [
        RetentionItem("new", 30, 1, True),
        RetentionItem("old", 30, 900, False),
        RetentionItem("older", 30, 950, False),
        RetentionItem("seen", 10, 50, True),
    ]
    assert plan_retention(kept, BOUNDS, free=1000, incoming=5).remove == ("seen",)
    assert plan_retention(kept, BOUNDS, free=1000, incoming=30).remove == ("seen", "new")
    assert plan_retention(kept, BOUNDS, free=1000, incoming=60).remove == ("seen", "new", "older")


def test_a_scarce_disk_frees_as_much_as_it_needs():
    kept = [RetentionItem("a", 30, 1, False), RetentionItem("b", 30, 2, False)]
    planned = plan_retention(kept, BOUNDS, free=40, incoming=10)
    assert (planned.remove, planned.refusal) == (("b",), "")


def test_nothing_that_was_not_acknowledged_goes_in_vain():
    kept = [RetentionItem("a", 5, 1, False), RetentionItem("b", 5, 2, True)]
    planned = plan_retention(kept, BOUNDS, free=10, incoming=10)
    assert planned.remove == ("b",)
    assert "disk is full" in planned.refusal


def test_what_is_larger_than_everything_may_be_is_refused_and_moves_nothing():
    planned = plan_retention([RetentionItem("a", 90, 1, True)], BOUNDS, free=10_000, incoming=101)
    assert planned.remove == ()
    assert "larger" in planned.refusal


@settings(max_examples=500)
@given(items, st.integers(0, 300), st.integers(0, 120))
def test_bounds_hold_and_order_is_kept(kept, free, incoming):
    planned = plan_retention(kept, BOUNDS, free, incoming)
    by_id = {i.id: i for i in kept}
    gone = [by_id[i] for i in planned.remove]
    left = [i for i in kept if i.id not in planned.remove]
    enters = 0 if planned.refusal else incoming
    assert sum(i.bytes for i in left) + enters <= BOUNDS.max_bytes
    assert all(i.age_seconds <= BOUNDS.keep_seconds for i in left)
    if enters:
        assert free + sum(i.bytes for i in gone) - enters >= BOUNDS.free_bytes
    young = [i for i in gone if i.age_seconds <= BOUNDS.keep_seconds]
    if any(not i.acknowledged for i in young):
        assert not any(i.acknowledged for i in left)
    for kind in (True, False):
        oldest_left = max((i.age_seconds for i in left if i.acknowledged == kind), default=-1.0)
        assert all(i.age_seconds >= oldest_left for i in young if i.acknowledged == kind)


@settings(max_examples=300)
@given(items, st.integers(0, 300), st.integers(0, 120))
def test_no_more_goes_than_has_to(kept, free, incoming):
    planned = plan_retention(kept, BOUNDS, free, incoming)
    young = [i for i in kept if i.id in planned.remove and i.age_seconds <= BOUNDS.keep_seconds]
    if not young or planned.refusal:
        return
    last = next(i for i in kept if i.id == [r for r in planned.remove if r in {y.id for y in young}][-1])
    gone = [i for i in kept if i.id in planned.remove and i is not last]
    held = sum(i.bytes for i in kept if i not in gone)
    spared = held + incoming <= BOUNDS.max_bytes
    spared &= free + sum(i.bytes for i in gone) - incoming >= BOUNDS.free_bytes
    assert not spared
