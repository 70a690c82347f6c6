"""The age of evidence runs with the agent; a wall clock that is set, and a box that is off, do not age it."""

from __future__ import annotations

import pytest

from asd_agent.evidence.retention import METER, Hourmeter


class Hands:
    """Clocks that are turned by hand."""

    def __init__(self) -> None:
        self.now, self.wall, self.boot_id = 1000.0, 1.8e9, "boot-1"

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> float:
        return self.wall

    def synchronised(self) -> bool | None:
        return None


def test_it_counts_the_time_that_passes_and_goes_on_after_a_restart(tmp_path):
    clock = Hands()
    meter = Hourmeter(tmp_path, clock)
    clock.now += 50.0
    clock.wall -= 1e8
    assert meter.read() == 50.0
    meter.save()
    clock.now += 7.0
    assert Hourmeter(tmp_path, clock).read() == pytest.approx(57.0)


def test_a_box_that_was_off_did_not_age_its_evidence(tmp_path):
    clock = Hands()
    meter = Hourmeter(tmp_path, clock)
    clock.now += 50.0
    meter.save()
    clock.now, clock.boot_id, clock.wall = 3.0, "boot-2", clock.wall + 1e7
    assert Hourmeter(tmp_path, clock).read() == pytest.approx(50.0)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"seconds": "x"}', '{"seconds": 1}', '{"seconds": NaN, "monotonic": 1, "boot_id": "boot-1"}'],
)
def test_without_a_readable_file_it_begins_at_the_newest_evidence(tmp_path, content):
    (tmp_path / METER).write_text(content)
    assert Hourmeter(tmp_path, Hands(), at_least=400.0).read() == 400.0
