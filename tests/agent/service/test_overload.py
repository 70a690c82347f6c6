"""More than the box can carry, on a live microphone: windows are skipped and counted, and the newest is scored."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from asd_agent.alarm import restore
from asd_agent.audio.source import CaptureSource
from asd_agent.bundle import Bundle
from asd_agent.clock import ClockReading, SystemClock
from asd_agent.config.model import MonitorSettings
from asd_agent.config.sources import MicrophoneSettings
from asd_agent.inference.scorer import BundleScorer
from asd_agent.monitor import Monitor
from rigs.bundles import RATE, hum, write_wav

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

pytestmark = pytest.mark.rig

HOP = 0.005
"""Seconds. A capture child delivers blocks of 50 ms: ten windows fall due at a time, of which the newest is scored, on
any machine."""
MONITORS = 20


def test_what_cannot_be_scored_in_time_is_skipped_and_counted_and_nothing_grows(bundle_path: Path, tmp_path: Path):
    import live

    sound = write_wav(tmp_path / "long.wav", np.tile(hum(20, 5), 6))
    result = live.live(tmp_path, bundle_path, monitors=MONITORS, hop=HOP, seconds=5, sound=sound)
    windows = result.windows
    assert windows["skipped"] > 5 * windows["scored"] > 5 * MONITORS
    assert windows["due"] == sum(windows[k] for k in ("scored", "skipped", "invalid", "suspended"))
    before, after = result.descriptors
    # A leak in each cycle would be hundreds. A database opens its journal at the first commit, which may come later.
    assert after < before + 10
    assert result.threads[0] == result.threads[1]
    # A cycle holds 20 windows of 640 kB; a queue of what is not scored would hold 2.5 GB after a second.
    assert result.resident_mib[1] < result.resident_mib[0] + 150


def test_of_the_windows_of_a_microphone_that_are_due_only_the_newest_is_scored(bundle_path: Path):
    settings = MonitorSettings(source="s", bundle=str(bundle_path), section="00", hop_seconds=1.0)
    source = CaptureSource("s", MicrophoneSettings(kind="microphone", device="USB"))
    now = ClockReading.read(SystemClock())
    scorer = BundleScorer(Bundle.open(bundle_path))
    monitor = Monitor("m", settings, source, scorer, restore(None, "box/m", scorer.bundle.digest, now)[0])
    sound = hum(16.5, 1)[:, None]
    source.ring.write(sound)
    (window,) = monitor.take_due()
    assert np.array_equal(window.signal, sound[6 * RATE : 16 * RATE, 0])
    assert (monitor.counts.due, monitor.counts.skipped) == (6, 6)
    assert monitor.take_due() == []
