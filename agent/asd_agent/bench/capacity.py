"""Capacity of a box: windows per second, and monitors whose windows all fall due at once and are scored in time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from asd_agent.audio.quality import QualityLimits
from asd_agent.audio.ring import Ring
from asd_agent.bench.stages import Window, whole_window
from asd_agent.bench.timing import Effort, Times
from asd_agent.bundle.manifest import Condition
from asd_agent.inference.scorer import BundleScorer
from asd_agent.runtime import resident_bytes


@dataclass(frozen=True)
class Capacity:
    """Capacity of one box for one bundle.

    Attributes:
        windows_per_second: Scored one after the other, explained.
        monitors: Monitors that this box carries: so many windows, at the 99th percentile of their time, fit in a hop.
        hop_seconds: The hop.
        cpu_milliseconds: Processor time of one window, of all threads.
        core_share: Share of one core that one monitor uses.
        resident_bytes: Memory of this process.
    """

    windows_per_second: float
    monitors: int
    hop_seconds: float
    cpu_milliseconds: float
    core_share: float
    resident_bytes: int


def capacity(
    scorer: BundleScorer, condition: Condition, windows: list[Window], hop_seconds: float, effort: Effort | None = None
) -> Capacity:
    """Score windows as fast as possible.

    Args:
        scorer: The bundle.
        condition: Section and domain that judges them.
        windows: Each of shape (samples,); taken in turn.
        hop_seconds: Seconds from one window of a monitor to its next.
        effort: Number of repeats.
    """
    effort = effort or Effort()
    ring = Ring(len(windows[0]) / scorer.bundle.manifest.sample_rate)
    ring.write(windows[0][:, None])
    limits = QualityLimits(*condition.level_dbfs)
    works = [whole_window(scorer, condition, window, ring, limits) for window in windows]
    for work in works:
        work()
    taken: list[float] = []
    cpu: list[float] = []
    begun = last = time.perf_counter()
    spent = time.process_time()
    while len(taken) < effort.least or (len(taken) < effort.most and last - begun < effort.seconds):
        works[len(taken) % len(works)]()
        now, used = time.perf_counter(), time.process_time()
        taken.append(1000 * (now - last))
        cpu.append(1000 * (used - spent))
        last, spent = now, used
    times = Times(np.array(taken), np.array(cpu))
    cpu_milliseconds = float(times.cpu_milliseconds.mean())
    return Capacity(
        windows_per_second=len(taken) / (last - begun),
        monitors=int(hop_seconds * 1000 / times.p99),
        hop_seconds=hop_seconds,
        cpu_milliseconds=cpu_milliseconds,
        core_share=cpu_milliseconds / 1000 / hop_seconds,
        resident_bytes=resident_bytes(),
    )
