"""More than the box can carry, on a live microphone: windows are skipped and counted, scores stay fresh."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rigs.bundles import hum, write_wav

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

pytestmark = pytest.mark.rig

HOP = 0.1
SLACK_SECONDS = 1.0
"""For blocks of a tenth of a second, the broker, and a test machine that has other things to do."""


def test_what_cannot_be_scored_in_time_is_skipped_and_counted_and_nothing_lags_or_grows(
    bundle_path: Path, tmp_path: Path
):
    import live

    sound = write_wav(tmp_path / "long.wav", np.tile(hum(20, 5), 6))
    result = live.live(tmp_path, bundle_path, monitors=100, hop=HOP, seconds=10, sound=sound)
    assert result.windows["skipped"] > result.windows["scored"] > 100
    turn = result.interval_seconds[1]
    assert turn > HOP
    assert result.age_seconds[2] < HOP + turn + SLACK_SECONDS
    before, after = result.descriptors
    assert after <= before + 1
    assert result.threads[0] == result.threads[1]
    # A turn holds up to 100 windows of 640 kB; a queue would hold as many again every tenth of a second.
    assert result.resident_mib[1] < result.resident_mib[0] + 150
