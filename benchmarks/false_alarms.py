"""False alarms got against those wanted: on normal clips that no fit has seen, and a day on a normal stream.

    python benchmarks/false_alarms.py clips --machine fan --repeats 50
    python benchmarks/false_alarms.py stream --machine fan --hours 24 --clips 300
    python benchmarks/false_alarms.py wander --runs 20

`clips` and `stream`: simulated sound, the `indicators` detector. Model outputs are kept in --cache, so that a repeated
call is quick. `stream` sets levels from loose clips, and from as many hours of other contiguous sound. `wander`:
simulated scores that wander for minutes, levels from a day of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

from asd_agent.alarm.counting import raises
from asd_agent.alarm.normal_scores import StreamScores
from asd_agent.alarm.rate import Rule, fit_threshold
from asd_agent.bundle.manifest import FramePooling, Threshold
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import Calibrated
from asd_agent.errors import DataError
from asd_agent.features.indicators import indicators
from asd_agent.inference.densities import mahalanobis
from asd_agent.inference.ensemble import standardise
from asd_trainer.simulator import SIMULATOR_VERSION, render, stream
from rigs.wandering import alarms_a_day, wandering

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
    others = [hour_of_scores(asked, fitted, 1000 + hour) for hour in range(round(asked.hours))]
    day = StreamScores(others, RULE)
    print(f"{asked.machine}, {asked.hours:g} h of normal sound in runs of an hour, {asked.clips} clips to fit on")
    print("3 of 4 windows at hop 5 s\n")
    print("| method | wanted a day | attainable | windows above, % (wanted) | alarms a day, measured |")
    print("|---|---|---|---|---|")
    for wanted in (10.0, 1.0):
        for method in ("quantile", "tail"):
            level = fit_threshold(reference, alarms_per_day=wanted, rule=RULE, method=method)
            show(method, wanted, level, hours)
        level = fit_threshold(reference, alarms_per_day=wanted, rule=RULE, streams=day)
        show(f"{asked.hours:g} h contiguous", wanted, level, hours)


def show(method: str, wanted: float, level: Threshold, hours: list[np.ndarray]) -> None:
    """Print the row of one level; every hour is a recording of its own."""
    got = np.concatenate(hours)
    alarms = sum(len(raises(hour, level.raise_level, level.clear_level, RULE)) for hour in hours) * 24.0 / len(hours)
    text = f"{100 * float((got > level.raise_level).mean()):.2f} ({100 * level.window_rate:.2f})"
    print(f"| {method} | {wanted:g} | {level.false_alarms_per_day:.2f} | {text} | {alarms:.1f} |")


def wander(asked: argparse.Namespace) -> None:
    """Print the alarms a day of levels that a day of wandering scores gives, on fresh days."""
    print(f"levels from a day of simulated scores, {asked.runs} runs; alarms a day: median (5 % to 95 %)\n")
    print("| rule | scores | wander for | 1 a day wanted | 0.1 wanted |")
    print("|---|---|---|---|---|")
    rules = {"3 of 4": Rule(), "1 of 1": Rule(1, 1), "3 of 12": Rule(3, 12), "3 of 4, hop 1 s": Rule(hop_seconds=1.0)}
    for name, rule in rules.items():
        for skewed in (False, True):
            for minutes in (0, 1, 10):
                rng = np.random.default_rng([minutes, rule.k, rule.n, round(rule.hop_seconds), skewed])
                fresh = wandering(60.0 * rule.hop_seconds, rule, minutes, rng, skewed=skewed)
                runs = [wandering(1.0, rule, minutes, rng, skewed=skewed) for _ in range(asked.runs)]
                days = [StreamScores([run], rule) for run in runs]
                cells = []
                for wanted in (1.0, 0.1):
                    got = alarms_a_day([day.level(wanted) for day in days], fresh, rule)
                    low, middle, high = np.quantile(got, (0.05, 0.5, 0.95))
                    cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
                shape = "skewed" if skewed else "normal"
                print(f"| {name} | {shape} | {minutes} min | {' | '.join(cells)} |", flush=True)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("clips", "stream", "wander"))
    parser.add_argument("--machine", default="fan")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path("runs/false_alarms"))
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    {"clips": clips, "stream": stream_day, "wander": wander}[asked.what](asked)


if __name__ == "__main__":
    main()
