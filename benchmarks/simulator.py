"""How fast the simulator is, and how hard its data sets are for a plain detector.

    OMP_NUM_THREADS=1 python benchmarks/simulator.py          # times faster than real time, one core
    OMP_NUM_THREADS=1 python benchmarks/simulator.py --table  # AUC by machine, domain and severity

The detector is the mean and standard deviation over time of each log-mel band (128 bands, 1024-sample frames every
512 samples, powers in dB) and the Mahalanobis distance under one Gaussian with Ledoit-Wolf shrinkage, fitted to the
source training clips of each section. The level is the mean over all bands and frames in dB, as |z|. AUCs are means
over sections; intervals are 95 % bootstrap intervals over clips. The simulator was tuned on seeds from 1000; report
others.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy

from asd_agent.calibrate.density import DensitySettings, fit_density
from asd_agent.features import FeatureSpec, log_mel
from asd_agent.scoring.density import mahalanobis
from asd_trainer.data.simulate import MACHINES, SIMULATOR_VERSION, Plan, faults, render
from asd_trainer.data.simulate.write import Clip, planned
from asd_trainer.metrics.roc import auc

Array = npt.NDArray[np.float64]
SPEC = FeatureSpec()
SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
DRAWS = 500


@dataclass(frozen=True)
class Scored:
    """A test clip with its scores: distance and level."""

    clip: Clip
    distance: float
    level: float

    @property
    def group(self) -> tuple[int, str]:
        """Clips that are resampled together."""
        return self.clip.section, self.clip.domain


def features(clip: Clip) -> Array:
    """Mean and standard deviation of each band, and the overall mean, shape (257,)."""
    sound, _ = render(clip.machine, clip.section, clip.domain, seed=clip.seed, fault=clip.fault, severity=clip.severity)
    mel = log_mel(sound, SPEC)
    return np.concatenate([mel.mean(axis=0), mel.std(axis=0), [mel.mean()]]).astype(np.float64)


def scored(machine: str, seed: int, sections: tuple[int, ...], repeats: int) -> list[Scored]:
    """Every test clip of a data set of this seed, scored by a detector of its section."""
    anomalies = repeats * len(SEVERITIES) * len(faults(machine))
    plan = Plan((machine,), sections, 100, 0, anomalies * 3 // 4, anomalies, SEVERITIES, 10.0, seed)
    result = []
    for section in sections:
        clips = [c for c in planned(plan) if c.section == section]
        rows = np.stack([features(c) for c in clips])
        train = np.array([c.folder == "train" for c in clips])
        density = fit_density(rows[train][None, :, :256], DensitySettings(density="mahalanobis"))
        distance = mahalanobis(rows[~train, :256], density)
        level = np.abs(rows[~train, 256] - rows[train, 256].mean()) / rows[train, 256].std()
        tests = [c for c in clips if c.folder != "train"]
        result += [Scored(*row) for row in zip(tests, distance.tolist(), level.tolist(), strict=True)]
    return result


def mean_auc(tests: list[Scored], score: str) -> tuple[float, float, float]:
    """AUC, mean over sections, with its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    sections = sorted({t.clip.section for t in tests})
    cells = []
    for section in sections:
        here = [t for t in tests if t.clip.section == section]
        normal = np.array([getattr(t, score) for t in here if t.clip.fault is None])
        cells.append((normal, np.array([getattr(t, score) for t in here if t.clip.fault is not None])))
    value = float(np.mean([auc(*c) for c in cells]))
    drawn = [np.mean([auc(*(rng.choice(x, len(x)) for x in c)) for c in cells]) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return value, float(low), float(high)


def mixed(tests: list[Scored]) -> list[Scored]:
    """Normal clips and the default mixture of severities."""
    return [t for t in tests if t.clip.fault is None or t.clip.severity > 0]


def at(tests: list[Scored], severity: float) -> list[Scored]:
    """Normal clips and those of one severity."""
    return [t for t in tests if t.clip.fault is None or t.clip.severity == severity]


def cell(tests: list[Scored], score: str = "distance") -> str:
    """`0.71 (0.66-0.75)`."""
    value, low, high = mean_auc(tests, score)
    return f"{value:.2f} ({low:.2f}-{high:.2f})"


def lines(machine: str, seed: int, sections: tuple[int, ...], repeats: int, by_fault: bool) -> list[str]:
    """Rows of the table for one machine."""
    tests = scored(machine, seed, sections, repeats)
    by_domain = [mixed([t for t in tests if t.clip.domain == d]) for d in ("source", "target")]
    row = [machine, cell(mixed(tests)), *(cell(d) for d in by_domain), cell(mixed(tests), "level")]
    out = ["| " + " | ".join([*row, *(cell(at(tests, s)) for s in SEVERITIES)]) + " |"]
    if by_fault:
        for domain in ("source", "target"):
            here = [t for t in tests if t.clip.domain == domain]
            for fault in faults(machine):
                own = [t for t in here if t.clip.fault in (None, fault)]
                curve = " ".join(f"{mean_auc(at(own, s), 'distance')[0]:.2f}" for s in SEVERITIES)
                out.append(f"    {machine} {domain} {fault}: {curve}  level {mean_auc(mixed(own), 'level')[0]:.2f}")
    return out


def table(
    machines: list[str], seed: int, sections: tuple[int, ...], repeats: int, by_fault: bool, workers: int
) -> None:
    print(f"Simulator version {SIMULATOR_VERSION}, seed {seed}, sections {sections}, 100 training clips a section")
    print(
        "| machine | AUC both domains | source | target | level only | " + " | ".join(f"{s}" for s in SEVERITIES) + " |"
    )
    print("|" + "---|" * (5 + len(SEVERITIES)))
    with ProcessPoolExecutor(workers) as pool:
        waiting = [pool.submit(lines, m, seed, sections, repeats, by_fault) for m in machines]
        for future in waiting:
            print("\n".join(future.result()), flush=True)


def speed(machines: list[str], runs: int) -> None:
    print(
        f"{_processor()}, one process; Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}"
    )
    for machine in machines:
        render(machine, 0, "source", seed=0)
        factors = []
        for seed in range(runs):
            fault = faults(machine)[seed % len(faults(machine))]
            began = time.perf_counter()
            render(machine, 0, "source", seed=seed, fault=fault, severity=0.5)
            factors.append(10.0 / (time.perf_counter() - began))
        low, middle, high = statistics.quantiles(factors, n=4)
        print(f"{machine}: {middle:.0f} times real time (quartiles {low:.0f} to {high:.0f}, {runs} clips of 10 s)")


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="how hard the data sets are")
    parser.add_argument("--machines", nargs="+", default=list(MACHINES), choices=list(MACHINES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sections", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--repeats", type=int, default=4, help="clips of each fault, severity, domain and section")
    parser.add_argument("--faults", action="store_true", help="also each fault's curve over the severities")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30, help="clips a machine that are timed")
    given = parser.parse_args()
    if given.table:
        table(given.machines, given.seed, tuple(given.sections), given.repeats, given.faults, given.workers)
    else:
        speed(given.machines, given.runs)


if __name__ == "__main__":
    main()
