"""The box's clocks, with the kernel's files faked below an injected root."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from asd_agent.clock import SystemClock, iso_utc


def test_monotonic_is_the_kernels_own():
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert before <= SystemClock().monotonic() <= time.clock_gettime(time.CLOCK_MONOTONIC)


def test_utc_is_seconds_since_1970():
    before = time.time()
    assert before <= SystemClock().utc() <= time.time()


def test_the_boot_is_named_by_the_kernel(tmp_path: Path):
    folder = tmp_path / "proc/sys/kernel/random"
    folder.mkdir(parents=True)
    (folder / "boot_id").write_text("6d9c1e0e-1111-4222-8333-444455556666\n")
    assert SystemClock(tmp_path).boot_id == "6d9c1e0e-1111-4222-8333-444455556666"
    assert SystemClock(tmp_path / "nothing").boot_id == "unknown"


@pytest.mark.parametrize(
    ("result", "status", "expected"),
    [(0, 0x2001, True), (5, 0x0040, False), (5, 0x0001, False), (0, 0x0040, False)],
)
def test_the_kernel_says_whether_the_clock_is_synchronised(tmp_path: Path, result: int, status: int, expected: bool):
    assert SystemClock(tmp_path, adjtimex=lambda: (result, status)).synchronised() is expected


def test_without_the_kernels_word_the_mark_of_timesyncd_counts(tmp_path: Path):
    def clock() -> SystemClock:  # each keeps its answer for a while
        return SystemClock(tmp_path, adjtimex=lambda: None)

    assert clock().synchronised() is None
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    assert clock().synchronised() is False
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert clock().synchronised() is True


def test_this_machines_kernel_can_be_asked():
    assert SystemClock().synchronised() in {True, False, None}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1738324800.1239, "2025-01-31T12:00:00.124Z"),
        (1738324799.9996, "2025-01-31T12:00:00.000Z"),
    ],
)
def test_time_on_the_wire_is_utc_with_milliseconds(seconds: float, text: str):
    assert iso_utc(seconds) == text
