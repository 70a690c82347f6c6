"""Files in parallel: order, bounded memory, errors in their place, and really several at once."""

import threading

import pytest

from asd_agent.parallel import CORES, cores, in_order
from rigs.waiting import PATIENCE


@pytest.mark.parametrize("threads", [1, 3])
def test_results_keep_the_order_of_the_items(threads):
    assert list(in_order(lambda x: x * x, range(50), threads)) == [x * x for x in range(50)]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_items_are_taken_only_a_little_ahead(threads):
    taken = []
    items = (taken.append(x) or x for x in range(1, 101))
    for done, result in enumerate(in_order(lambda x: x, items, threads), 1):
        assert result == done
        assert len(taken) <= done + 2 * threads


def test_items_are_computed_at_the_same_time():
    both = threading.Barrier(2, timeout=PATIENCE)
    assert sorted(in_order(lambda _: both.wait(), range(2), threads=2)) == [0, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_is_raised_after_the_results_before_it(threads):
    def invert(x: int) -> float:
        return 1 / x

    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(in_order(invert, [1, 2, 0, 4], threads))
    assert found == [1, 0.5]


@pytest.mark.parametrize(("text", "wanted"), [("3", 3), ("0", 1)])
def test_a_worker_uses_its_share_of_the_cores(text, wanted, monkeypatch):
    monkeypatch.setenv(CORES, text)
    assert cores() == wanted


@pytest.mark.parametrize("text", ["", "many"])
def test_without_a_share_all_cores_are_used(text, monkeypatch):
    monkeypatch.setenv(CORES, text)
    assert cores() >= 1
