"""Ten minutes of benchmarks/soak.py: four monitors, a real broker, every window and every fault counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

pytestmark = pytest.mark.rig


def test_every_window_is_accounted_for_and_every_fault_found_at_its_time(tmp_path: Path):
    import soak

    result = soak.Soak(tmp_path, hours=1 / 6, scene_count=1, scene_seconds=300).run()
    windows = result.windows
    assert result.exit_code == 0
    assert result.due == 4 * ((600 - 10) // 5 + 1)
    assert result.accounted == result.due
    assert windows["skipped"] == 0
    assert windows["invalid"] >= 2 * 11  # a cable lost for 60 s, twice
    assert windows["suspended"] >= 2 * 11
    assert result.missed == []
    assert (result.found, result.faults, result.raised) == (8, 8, 8)
    for held in (result.descriptors, result.threads):
        assert held["most"] - held["least"] <= 2
