"""Speed of the simulator, and difficulty of its data sets for a plain detector.

    OMP_NUM_THREADS=1 python benchmarks/simulator.py                   # times faster than real time, one core
    OMP_NUM_THREADS=1 python benchmarks/simulator.py --table --faults  # AUC by machine, domain, severity and fault

The detector is the mean and standard deviation over time of each log-mel band (128 bands, 1024-sample frames every
512 samples, powers in dB) and the Mahalanobis distance under one Gaussian with Ledoit-Wolf shrinkage, fitted to the
source training clips of a section; for the target domain its mean is moved to that of the few target training clips.
The indicators are the agent's condition-monitoring quantities under the same kind of Gaussian; the level is the clip's
dBFS, as |z| of the same clips. AUCs are of one section and domain each, and their mean is
printed; intervals are 95 % bootstrap intervals over clips. The simulator was tuned on seeds from 1000; report others.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy

from asd_agent.calibrate import DensitySettings
from asd_agent.calibrate.density import fit_density, shift_density
from asd_agent.features.indicators import indicators
from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_agent.inference.densities import mahalanobis
from asd_trainer.evaluation.metrics.roc import auc
from asd_trainer.simulator import MACHINES, SIMULATOR_VERSION, SimulationPlan, faults, render
from asd_trainer.simulator.write import SimulatedClip, planned

Array = npt.NDArray[np.float64]
SPEC = FeatureSpec()
SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
DOMAINS = ("source", "target")
DRAWS = 500
SHRUNK = DensitySettings(density="mahalanobis")
MELS, INDICATORS = slice(0, 2 * SPEC.n_mels), slice(2 * SPEC.n_mels, -1)
"""Columns of `features`."""


@dataclass(frozen=True)
class Scored:
    """A test clip with its scores: log-mel distance, distance by indicators, level."""

    clip: SimulatedClip
    distance: float
    indicators: float
    level: float


def features(clip: SimulatedClip) -> Array:
    """Mean and standard deviation of each band (256 numbers), the indicators, and the level in dBFS."""
    sound, _ = render(clip.machine, clip.section, clip.domain, seed=clip.seed, fault=clip.fault, severity=clip.severity)
    mel = log_mel(sound, SPEC)
    level = 10.0 * np.log10(np.mean(sound.astype(np.float64) ** 2))
    rest = [indicators(sound[None])[0], [level]]
    return np.concatenate([mel.mean(axis=0), mel.std(axis=0), *rest]).astype(np.float64)


def scored(machine: str, seed: int, sections: tuple[int, ...], target: int, repeats: int) -> list[Scored]:
    """Every test clip of a data set of this seed, scored by the detector of its section and domain."""
    anomalies = repeats * len(SEVERITIES) * len(faults(machine))
    plan = SimulationPlan((machine,), sections, 100, target, anomalies * 3 // 4, anomalies, SEVERITIES, 10.0, seed)
    clips = list(planned(plan))
    rows = np.stack([features(c) for c in clips])
    result = []
    for section in sections:
        source = rows[_places(clips, section, "source", train=True)]
        fitted = [fit_density(source[None, :, part], SHRUNK) for part in (MELS, INDICATORS)]
        for domain in DOMAINS:
            own = rows[_places(clips, section, domain, train=True)]
            usual = (own if len(own) else source)[:, -1].mean()
            tests = _places(clips, section, domain, train=False)
            distances = []
            for part, density in zip((MELS, INDICATORS), fitted, strict=True):
                moved = shift_density(density, own[None, :, part], 1.0) if len(own) else density
                distances.append(mahalanobis(rows[tests, part], moved))
            level = np.abs(rows[tests, -1] - usual) / source[:, -1].std()
            for place, values in zip(tests, np.stack([*distances, level], axis=1).tolist(), strict=True):
                result.append(Scored(clips[place], *values))
    return result


def _places(clips: list[SimulatedClip], section: int, domain: str, *, train: bool) -> list[int]:
    wanted = (section, domain, train)
    return [i for i, c in enumerate(clips) if (c.section, c.domain, c.folder == "train") == wanted]


def mean_auc(tests: list[Scored], score: str) -> tuple[float, float, float]:
    """AUC, mean over sections and domains, with its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    cells = []
    for group in sorted({(t.clip.section, t.clip.domain) for t in tests}):
        here = [t for t in tests if (t.clip.section, t.clip.domain) == group]
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


@dataclass(frozen=True)
class Rows:
    """One machine's rows of the two tables."""

    by_severity: str
    by_faults: list[str]


def measured(machine: str, seed: int, sections: tuple[int, ...], target: int, repeats: int) -> Rows:
    """The rows of one machine: over severities, and for each fault."""
    tests = scored(machine, seed, sections, target, repeats)
    by_domain = [mixed([t for t in tests if t.clip.domain == d]) for d in DOMAINS]
    row = [machine, cell(mixed(tests)), *(cell(d) for d in by_domain)]
    row += [cell(mixed(tests), "indicators"), cell(mixed(tests), "level")]
    by_faults = []
    for fault in faults(machine):
        own = [t for t in tests if t.clip.fault in {None, fault}]
        curve = [cell(at(own, s)) for s in SEVERITIES]
        full = [f"{mean_auc(at([t for t in own if t.clip.domain == d], 1.0), 'distance')[0]:.2f}" for d in DOMAINS]
        by_faults.append(_row([machine, fault, *curve, *full, f"{mean_auc(mixed(own), 'level')[0]:.2f}"]))
    return Rows(_row([*row, *(cell(at(tests, s)) for s in SEVERITIES)]), by_faults)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(columns: list[str]) -> str:
    return _row(columns) + "\n|" + "---|" * len(columns)


def table(
    machines: list[str], seed: int, sections: tuple[int, ...], target: int, repeats: int, by_fault: bool, workers: int
) -> None:
    severities = [f"severity {s:g}" for s in SEVERITIES]
    print(
        f"Simulator version {SIMULATOR_VERSION}, seed {seed}, sections {sections}; "
        f"100 source and {target} target training clips a section\n"
    )
    print(_head(["machine", "AUC", "source", "target", "indicators", "level alone", *severities]))
    done = []
    with ProcessPoolExecutor(workers) as pool:
        for future in [pool.submit(measured, m, seed, sections, target, repeats) for m in machines]:
            done.append(future.result())
            print(done[-1].by_severity, flush=True)
    if by_fault:
        print("\n" + _head(["machine", "fault", *severities, "source, 1", "target, 1", "level alone"]))
        print("\n".join(line for rows in done for line in rows.by_faults))


def speed(machines: list[str], runs: int) -> None:
    print(
        f"{_processor()}, processor time of one process; Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}"
    )
    for machine in machines:
        render(machine, 0, "source", seed=0)
        factors = []
        for seed in range(runs):
            fault = faults(machine)[seed % len(faults(machine))]
            began = time.process_time()
            render(machine, 0, "source", seed=seed, fault=fault, severity=0.5)
            factors.append(10.0 / (time.process_time() - began))
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
    parser.add_argument("--target-clips", type=int, default=3, help="training clips of the target domain, a section")
    parser.add_argument("--repeats", type=int, default=4, help="clips of each fault, severity, domain and section")
    parser.add_argument("--faults", action="store_true", help="also a table by fault")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30, help="clips a machine that are timed")
    given = parser.parse_args()
    if given.table:
        table(
            given.machines,
            given.seed,
            tuple(given.sections),
            given.target_clips,
            given.repeats,
            given.faults,
            given.workers,
        )
    else:
        speed(given.machines, given.runs)


if __name__ == "__main__":
    main()
