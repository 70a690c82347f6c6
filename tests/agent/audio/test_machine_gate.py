"""Windows of a running machine, told from stops by their level."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.audio.machine_gate import with_stops
from asd_agent.audio.window_source import SoundWindow

LOUD, QUIET = 0.1, 0.001


def windows(*levels: float) -> list[SoundWindow]:
    rng = np.random.default_rng(0)
    return [
        SoundWindow((level * rng.normal(size=16_000)).astype(np.float32), has_gap=False, first=16_000 * i)
        for i, level in enumerate(levels)
    ]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((LOUD, LOUD, LOUD), (None, None, None)),
        ((LOUD, LOUD, QUIET, QUIET, LOUD, LOUD), (None, "beside_stop", "stopped", "stopped", "beside_stop", None)),
        ((QUIET, LOUD, QUIET), ("stopped", "beside_stop", "stopped")),
        ((LOUD, QUIET), ("beside_stop", "stopped")),
        ((), ()),
    ],
)
def test_a_stop_and_the_windows_beside_it_are_named(levels, expected):
    heard = windows(*levels)
    found = list(with_stops(heard, -40.0))
    assert tuple(stop for _, _, stop in found) == expected
    assert [window.first for window, _, _ in found] == [window.first for window in heard]


def test_without_a_gate_every_window_counts_at_once():
    heard = iter(windows(QUIET, LOUD))
    stream = with_stops(heard, None)
    assert next(stream)[2] is None
    assert next(heard).first == 16_000  # the second was not read ahead


def test_a_window_with_a_gap_tells_nothing_about_the_machine():
    first, second = windows(LOUD, QUIET)
    broken = SoundWindow(second.signal, has_gap=True, first=second.first)
    assert [stop for _, _, stop in with_stops([first, broken], -40.0)] == [None, None]
