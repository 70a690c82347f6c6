"""Do thresholds keep their word? Rates on normal clips that no fit has seen, and alarms a day on a normal stream.

    python benchmarks/false_alarms.py clips --machine fan --repeats 50
    python benchmarks/false_alarms.py stream --machine fan --hours 24 --clips 300

Simulated sound, the `indicators` detector. Model outputs are kept in --cache, so that a repeated call is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from asd_agent.alarm.rate import Rule, fit_threshold
from asd_agent.bundle.manifest import FramePooling
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import Calibrated
from asd_agent.errors import DataError
from asd_agent.features.indicators import indicators
from asd_agent.inference.densities import mahalanobis
from asd_agent.inference.ensemble import standardise
from asd_trainer.simulator import SIMULATOR_VERSION, render, stream

SHRUNK = DensitySettings(density="mahalanobis")
RULE = Rule()
WANTED_RATES = (0.05, 0.01)
SIZES = (10, 30, 100, 1000)


def normal_outputs(cache: Path, machine: str, domain: str, seed: int, count: int) -> np.ndarray:
    """Indicators of normal clips of section 00, shape (count, 1, dimensions)."""
    path = cache / f"{machine}-{domain}-{seed}-v{SIMULATOR_VERSION}.npy"
    rows = list(np.load(path)) if path.is_file() else []
    for i in range(len(rows), count):
        rows.append(indicators(render(machine, 0, domain, seed=seed + i)[0][None])[0])
        if (i + 1) % 100 == 0:
            np.save(path, np.stack(rows))
            print(f"{machine} {domain}: {i + 1} of {count} clips", file=sys.stderr)
    return np.stack(rows)[:count, None].astype(np.float64)


def scores(x: np.ndarray, fitted: Calibrated) -> np.ndarray:
    return standardise(mahalanobis(x[:, 0], fitted.scorer), fitted.standardisation)


def source(x: np.ndarray) -> Calibrated:
    return calibrate_source(DomainData(x, [str(i) for i in range(len(x))]), SHRUNK, FramePooling())


def clips(asked: argparse.Namespace) -> None:
    pool = normal_outputs(asked.cache, asked.machine, "source", 5_000_000, max(SIZES) + 1000)
    aim = normal_outputs(asked.cache, asked.machine, "target", 6_000_000, 600)
    print(f"{asked.machine}, simulator {SIMULATOR_VERSION}, indicators, {asked.repeats} repeats; rates in % of windows")
    print("on normal clips that no fit has seen: median (5 % to 95 % of the repeats)\n")
    print("| fitted on | method | wanted | attainable | measured | refused |\n|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for size in SIZES:
        rows: dict[tuple[str, str, float], list[tuple[float, float]]] = {}
        refused: dict[tuple[str, str, float], int] = {}
        for _ in range(asked.repeats):
            order = rng.permutation(len(pool))
            fitted = source(pool[order[:size]])
            three = rng.permutation(len(aim))
            moved = calibrate_target(DomainData(aim[three[:3]], ["a", "b", "c"]), fitted, SHRUNK, FramePooling())
            parts = {
                f"{size} clips": (fitted, pool[order[size:]]),
                f"{size} clips, target of 3": (moved, aim[three[3:]]),
            }
            for where, (one, fresh) in parts.items():
                reference = standardise(one.reference, one.standardisation)
                unseen = scores(fresh, one)
                for rate in WANTED_RATES:
                    for method in ("quantile", "tail"):
                        key = (where, method, rate)
                        try:
                            got = fit_threshold(
                                reference, alarms_per_day=RULE.alarms_per_day(rate), rule=RULE, method=method
                            )
                        except DataError:
                            refused[key] = refused.get(key, 0) + 1
                            continue
                        rows.setdefault(key, []).append((got.window_rate, float((unseen > got.raise_level).mean())))
        for key in sorted(set(rows) | set(refused), key=lambda k: (k[0].count("target"), k[1], -k[2])):
            where, method, rate = key
            if key in rows:
                attainable, measured = np.array(rows[key]).T * 100
                low, middle, high = np.quantile(measured, [0.05, 0.5, 0.95])
                cells = f"{np.median(attainable):.2f} | {middle:.2f} ({low:.2f} to {high:.2f})"
            else:
                cells = "– | –"
            print(f"| {where} | {method} | {100 * rate:g} | {cells} | {refused.get(key, 0)} |", flush=True)


def stream_day(asked: argparse.Namespace) -> None:
    pool = normal_outputs(asked.cache, asked.machine, "source", 5_000_000, asked.clips)
    fitted = source(pool)
    reference = standardise(fitted.reference, fitted.standardisation)
    hours = [hour_of_scores(asked, fitted, hour) for hour in range(round(asked.hours))]
    got = np.concatenate(hours)
    print(f"{asked.machine}, {asked.hours:g} h of normal sound in runs of an hour, {asked.clips} clips to fit on")
    print("3 of 4 windows at hop 5 s\n")
    print("| method | wanted a day | attainable | windows above, % (wanted) | alarms a day, measured |")
    print("|---|---|---|---|---|")
    for wanted in (10.0, 1.0):
        for method in ("quantile", "tail"):
            level = fit_threshold(reference, alarms_per_day=wanted, rule=RULE, method=method)
            over = got > level.raise_level
            alarms = raised(got, level.raise_level, level.clear_level) * 24.0 / asked.hours
            text = f"{100 * over.mean():.2f} ({100 * level.window_rate:.2f})"
            print(f"| {method} | {wanted:g} | {level.false_alarms_per_day:.2f} | {text} | {alarms:.1f} |")


def hour_of_scores(asked: argparse.Namespace, fitted: Calibrated, hour: int) -> np.ndarray:
    """Scores of an hour of normal sound; every hour the machine is started anew, at a speed of the domain's."""
    path = asked.cache / f"{asked.machine}-hour-{hour}-{asked.clips}-v{SIMULATOR_VERSION}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    hop, window = round(RULE.hop_seconds * 16_000), round(RULE.window_seconds * 16_000)
    values: list[float] = []
    kept = np.zeros(0, np.float32)
    for piece in stream(asked.machine, 0, "source", seed=7_000_000 + hour, seconds=3600.0, chunk_seconds=60.0):
        kept = np.concatenate([kept, piece])
        while len(kept) >= window:
            values.append(float(scores(indicators(kept[None, :window])[:, None].astype(np.float64), fitted)[0]))
            kept = kept[hop:]
    np.save(path, np.array(values))
    print(f"hour {hour + 1} of {asked.hours:g}", file=sys.stderr)
    return np.array(values)


def raised(values: np.ndarray, level: float, clear: float) -> int:
    """Count how often 3 of the last 4 windows are over, an alarm ending after 4 windows below the clear level."""
    count, active, below = 0, False, 0
    for i in range(len(values)):
        if active:
            below = below + 1 if values[i] < clear else 0
            active = below < 4
        elif (values[max(0, i - 3) : i + 1] > level).sum() >= 3:
            count, active, below = count + 1, True, 0
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("clips", "stream"))
    parser.add_argument("--machine", default="fan")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--cache", type=Path, default=Path("runs/false_alarms"))
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    {"clips": clips, "stream": stream_day}[asked.what](asked)


if __name__ == "__main__":
    main()
