"""The demo, whole: shipped sound, the shipped bundle, a broker that fails, a subscriber in a process of its own."""

import json
import subprocess
import sys

import pytest
import soundfile

from asd_agent.bundle import Bundle
from asd_agent.demo.assets import demo_bundle, demo_labels, demo_recording
from asd_agent.demo.play import Demo
from asd_agent.inference.provider_check import check_golden
from asd_agent.inference.scorer import BundleScorer
from rigs.waiting import PATIENCE


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_every_fault_is_found_nothing_else_is_said_and_the_late_alert_arrives(tmp_path):
    done = demo("--speed", "12", "--json", "--evidence", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stdout + done.stderr
    got = json.loads(done.stdout)
    assert got["ok"] is True
    assert got["faults"] == got["detected"] == got["received"] == 2
    assert (got["false_alarms"], got["received_late"], got["repeated"]) == (0, 1, 0)
    # At this speed the last minute is overwritten within five seconds, which a busy machine may miss.
    kept = len(list((tmp_path / "kept").glob("*/clip.flac")))
    assert got["evidence"] == kept
    assert kept in (1, 2)
    assert all(10 <= seconds <= 60 for seconds in got["latency_seconds"])


def test_a_short_play_of_normal_sound_raises_nothing_and_shows_its_screen():
    pictures = []
    outcome = Demo(30, 60, show=lambda p: pictures.append((p.seconds, p.state, p.score))).run()
    assert (outcome.faults, outcome.raised, outcome.false_alarms) == (0, 0, 0)
    assert [s for s, _, _ in pictures if s] == sorted(s for s, _, _ in pictures if s)
    assert {state for _, state, _ in pictures} == {"normal"}


def test_the_recording_is_normal_for_two_minutes_and_lasts_as_labelled():
    truth = demo_labels()
    assert min(f.start for f in truth.faults) >= 120
    assert soundfile.info(demo_recording()).duration == pytest.approx(truth.seconds)


def test_the_shipped_bundle_is_whole_and_gives_its_golden_scores():
    assert check_golden(BundleScorer(Bundle.open(demo_bundle()))) < 1e-3
