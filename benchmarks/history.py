"""Size and speed of the history: sixteen monitors over two years, and the cost of handing over a window.

    python benchmarks/history.py [--monitors 16] [--days 730] [--json]

Minutes are drawn at random, the worst case for their compression. Windows of the last fourteen days are stored in full.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from asd_agent.alarm import AlarmState, ScoredWindow, step
from asd_agent.bundle import Bundle
from asd_agent.clock import ClockReading, SystemClock
from asd_agent.config.model import AlarmSettings
from asd_agent.demo.assets import demo_bundle
from asd_agent.history.reader import open_history
from asd_agent.history.replay import replay
from asd_agent.history.store import Batch, HistoryStore, Limits
from asd_agent.history.windows import MINUTE, WINDOW, Context, WindowBlock, minutes_to_bytes
from asd_agent.history.writer import HistoryWriter
from asd_agent.inference.scorer import BundleScorer

HOUR, DAY = 3600, 86_400
HOP = 5.0
END = 1_800_000_000 // HOUR


def fill(path: Path, monitors: int, days: int) -> HistoryStore:
    """Store hours as the packing leaves them."""
    store = HistoryStore(path, Limits(max_bytes=1 << 40))
    rng = np.random.default_rng(0)
    for m in range(monitors):
        number = store._id(f"machine-{m}")
        store._db.execute("BEGIN")
        for hour in range(END - 24 * days, END):
            minutes = np.zeros(60, MINUTE)
            scores = np.sort(rng.normal(0.0, 1.0, (60, 3)), axis=1)
            minutes["low"], minutes["mean"], minutes["high"] = scores.T
            minutes["level"], minutes["scored"] = 4.0, 12
            values = (float(scores.min()), float(scores.mean()), float(scores.max()), 4.0, 720, 0, 0, 0)
            store._db.execute("INSERT INTO minutes VALUES (?, ?, ?)", (number, hour, minutes_to_bytes(minutes)))
            store._db.execute("INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (number, hour, *values))
            if hour >= END - 24 * 14:
                block = an_hour(hour, f"machine-{m}", rng)
                store._db.execute("INSERT INTO windows VALUES (?, ?, ?)", (number, hour, block.to_bytes()))
        store._db.execute("COMMIT")
    return store


def an_hour(hour: int, name: str, rng: np.random.Generator) -> WindowBlock:
    """An hour of windows with scores drawn at random."""
    rows = np.zeros(round(HOUR / HOP), WINDOW)
    count = np.arange(len(rows))
    rows["index"] = hour * len(rows) + count
    rows["start"] = rows["index"] * HOP
    rows["end"] = rows["start"] + 10.0
    rows["utc_end"] = hour * HOUR + count * HOP
    rows["utc_start"] = rows["utc_end"] - 10.0
    rows["score"] = rng.normal(0.0, 1.0, len(rows))
    return WindowBlock((name,), (Context(4.0, 3.5),), rows)


def seconds(work: object, runs: int = 7) -> float:
    """Median of several runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def commits(path: Path, monitors: int) -> dict[str, float]:
    """Commits and written bytes of an hour, with a batch a minute."""
    store, rng = HistoryStore(path), np.random.default_rng(0)
    took, index = [], 0
    before = store.bytes
    for minute in range(61):
        at = END * HOUR + 60.0 * minute
        batch = []
        for i in range(12):
            index += 1
            for m in range(monitors):
                end = at + 5.0 * i
                window = ScoredWindow(
                    index=index, start=index * HOP, end=index * HOP + 10.0, utc_start=end - 10.0, utc_end=end,
                    verdict="scored", score=float(rng.normal()), threshold=4.0, clear_level=3.5,
                )  # fmt: skip
                batch.append((f"machine-{m}", window))
        start = time.perf_counter()
        store.commit(Batch(windows=batch), at + 60.0)
        took.append(time.perf_counter() - start)
    grown = store.bytes - before
    store.close()
    return {"commit_ms": 1e3 * statistics.median(took), "grown_bytes": grown}


def latency(folder: Path, windows: int = 400) -> float:
    """Ratio of the time to score and judge a window with the history to that without it, pair by pair."""
    scorer = BundleScorer(Bundle.open(demo_bundle()))
    noise = np.random.default_rng(0).normal(0.0, 0.05, (1, 160_000)).astype(np.float32)
    writer = HistoryWriter(folder / "latency.sqlite3", Limits(), SystemClock(), 0.5)
    writer.start()
    state, ratios = AlarmState(monitor="bench/fan"), []
    for index in range(windows):
        times = {}
        for kept in ((True, False), (False, True))[index % 2]:
            start = time.perf_counter()
            (got,) = scorer.score(noise, "00", "source")
            window = ScoredWindow(
                index=index, start=index * HOP, end=index * HOP + 10.0, utc_start=0.0, utc_end=time.time(),
                verdict="scored", score=got.score, threshold=1e9, clear_level=1e9 - 0.5,
            )  # fmt: skip
            state, _ = step(state, window, AlarmSettings(), ClockReading(time.time(), time.monotonic(), "boot"))
            if kept:
                writer.add_window("fan", window)
            times[kept] = time.perf_counter() - start
        ratios.append(times[True] / times[False])
    writer.stop()
    return statistics.median(ratios)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitors", type=int, default=16)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.sqlite3"
        store = fill(path, options.monitors, options.days)
        result: dict[str, float] = {"megabytes": store.bytes / 2**20}
        store.close()
        end = float(END * HOUR)
        with open_history(path) as history:
            for name, days in (("day", 1), ("month", 30), ("two_years", 730)):
                start = end - days * DAY
                result[f"chart_{name}_ms"] = 1e3 * seconds(lambda s=start: history.series("machine-0", s, end))
            block = history.windows("machine-0", end - 14 * DAY, end)
        result["replay_14_days_ms"] = 1e3 * seconds(lambda: replay(block, AlarmSettings(), level=3.0), 3)
        result |= commits(Path(folder) / "commits.sqlite3", options.monitors)
        writer = HistoryWriter(Path(folder) / "writer.sqlite3", Limits(), SystemClock())
        window = block.window(0)
        result["hand_over_us"] = 1e6 * seconds(lambda: [writer.add_window("m", window) for _ in range(1000)]) / 1000
        result["latency_ratio"] = latency(Path(folder))
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{options.monitors} monitors, {options.days} days")
    for name, value in result.items():
        print(f"  {name:20} {value:12.2f}")


if __name__ == "__main__":
    main()
