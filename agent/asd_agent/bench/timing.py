"""Times of repeated work in quantiles; two works are measured in alternation, so that a busy moment affects both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Work = Callable[[], object]


@dataclass(frozen=True)
class Effort:
    """Number of repeats: until `seconds` are over, at least `least` and at most `most` times."""

    seconds: float = 2.0
    least: int = 5
    most: int = 500


@dataclass(frozen=True)
class Times:
    """Times of one repeated work.

    Attributes:
        milliseconds: Elapsed time, shape (repeats,).
        cpu_milliseconds: Processor time of all threads, which other work on the box affects less; shape (repeats,).
    """

    milliseconds: npt.NDArray[np.float64]
    cpu_milliseconds: npt.NDArray[np.float64]

    @property
    def p50(self) -> float:
        """Median in ms."""
        return float(np.quantile(self.milliseconds, 0.5))

    @property
    def p99(self) -> float:
        """99th percentile in ms; the largest where there are few."""
        return float(np.quantile(self.milliseconds, 0.99, method="higher"))

    @property
    def cpu(self) -> float:
        """Median processor time in ms."""
        return float(np.quantile(self.cpu_milliseconds, 0.5))

    def ratio(self, other: Times) -> tuple[float, float, float]:
        """Return the 5th, 50th and 95th percentile of the ratio of processor times, pair by pair."""
        low, middle, high = np.quantile(self.cpu_milliseconds / other.cpu_milliseconds, [0.05, 0.5, 0.95])
        return float(low), float(middle), float(high)


def measure(work: Work, effort: Effort | None = None) -> Times:
    """Measure a work after one repeat that does not count."""
    return _measure([work], effort or Effort())[0]


def measure_pairs(first: Work, second: Work, effort: Effort | None = None) -> tuple[Times, Times]:
    """Measure two works in alternation."""
    one, other = _measure([first, second], effort or Effort())
    return one, other


def _measure(works: list[Work], effort: Effort) -> list[Times]:
    for work in works:
        work()
    taken: list[list[tuple[float, float]]] = [[] for _ in works]
    begun = time.perf_counter()
    while len(taken[0]) < effort.least or (
        len(taken[0]) < effort.most and time.perf_counter() - begun < effort.seconds
    ):
        for work, times in zip(works, taken, strict=True):
            start, cpu = time.perf_counter(), time.process_time()
            work()
            times.append((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)))
    return [Times(*np.array(times).T) for times in taken]
