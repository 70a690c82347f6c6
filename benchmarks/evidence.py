"""A thousand alarms of 40 s against a quota of 50 MB: the use of the disk at every moment, and what one costs.

    python benchmarks/evidence.py --alarms 1000 --megabytes 50

The sound is the demo's recording, cut at a thousand places; the detector is the demo's bundle; the writer is the
service's own. Every fifth alarm is acknowledged. Exit code 1 when the quota was broken or evidence was lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, read_clip
from asd_agent.bundle import Bundle
from asd_agent.clock import SystemClock
from asd_agent.config.model import EvidenceSettings
from asd_agent.demo.assets import demo_bundle, demo_recording
from asd_agent.evidence.clip import ClipSound
from asd_agent.evidence.job import EvidenceJob
from asd_agent.evidence.store import list_evidence
from asd_agent.evidence.writer import EvidenceWriter, WriteOutcome
from asd_agent.inference.scorer import BundleScorer

SECONDS = 40


def job(scorer: BundleScorer, sound: np.ndarray, number: int, first: int) -> EvidenceJob:
    window = (first + 20 * SAMPLE_RATE, first + 30 * SAMPLE_RATE)
    alert = {"alarm_id": f"{number:024x}", "machine": "fan", "severity": 500, "score": 5.0, "threshold": 4.0}
    return EvidenceJob(
        id=f"20270115T080000Z-{number:024x}",
        agent="bench",
        monitor="fan",
        alert=alert,
        sound=ClipSound(sound[first : first + SECONDS * SAMPLE_RATE], first, (), ()),
        window=window,
        scores=((*window, "scored", 5.0, 4.0),),
        utc=(1.8e9, 1.8e9 + SECONDS),
        scorer=scorer,
        section="00",
        domain="source",
    )


def disk_bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=1000)
    parser.add_argument("--megabytes", type=float, default=50.0)
    options = parser.parse_args()
    scorer = BundleScorer(Bundle.open(demo_bundle()))
    sound = read_clip(demo_recording()).samples
    places = np.linspace(0, len(sound) - SECONDS * SAMPLE_RATE, options.alarms).astype(int)
    outcomes: list[WriteOutcome] = []
    done = threading.Event()
    largest, began = 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "evidence"
        settings = EvidenceSettings(max_megabytes=options.megabytes, free_megabytes=0)
        keeper = EvidenceWriter(folder, settings, SystemClock(), done)
        keeper.start()
        for number, first in enumerate(places):
            keeper.offer(job(scorer, sound, number, int(first)))
            if number % 5 == 0:
                keeper.acknowledge(f"{number:024x}")
            while len(outcomes) <= number:
                done.wait(60.0)
                done.clear()
                outcomes += keeper.take()
            largest = max(largest, disk_bytes(folder))
            if number % 50 == 49:
                print(f"{number + 1} alarms, {keeper.stats.kept} kept, largest {largest / 1e6:.2f} MB", flush=True)
        keeper.stop(60.0)
        left = list_evidence(folder)
    seconds = time.perf_counter() - began
    lost = sum(o.summary is None for o in outcomes)
    noted = sum(h.acknowledged for h in left)
    print(
        f"{options.alarms} alarms of {SECONDS} s, quota {options.megabytes:g} MB: largest on disk"
        f" {largest / 1e6:.3f} MB, {lost} lost, {len(left)} kept ({noted} acknowledged),"
        f" {seconds / options.alarms:.2f} s each"
    )
    meter = 200  # bytes of hours.json, which is no evidence
    return int(largest > options.megabytes * 1e6 + meter or lost > 0)


if __name__ == "__main__":
    sys.exit(main())
