"""Effect of calibration on the spot: target-domain normals calibrate, the rest is scored, over many random splits.

    asd-trainer table DATA… --recipes mahalanobis,indicators --seeds 1 --out runs
    python benchmarks/calibration.py runs --machine valve --clips 20 --splits 50

Of each run's target-domain test clips, so many normal ones are drawn to calibrate `site`; the other normals and the
anomalous ones are scored by the bundle's `source` and `target` domains and by `site`. Stated before measuring: with n
clips and the m-th largest of their held-out scores as the level, a fresh clip of the same kind is above it with
probability m/(n+1) on average over splits, and the number above it among the rest of one split follows a beta-binomial
distribution with a = m, b = n + 1 - m; 97.5 % of the splits should be at or below its upper quantile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom

from asd_agent.audio.files import read_clip
from asd_agent.bundle import Bundle
from asd_agent.bundle.overlay import apply_overlay
from asd_agent.calibrate.site import SiteSound, calibrate_site
from asd_agent.inference.members import Inference, ModelOutput, WindowFeatures
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.dataset import labelled_clips, scan
from asd_trainer.evaluation.metrics.roc import auc
from asd_trainer.jobs.runs import Run, find_runs

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One run and section.

    Attributes:
        rest: Normal clips scored in each split.
        auc: By domain: mean over splits, and the 5th and 95th percentile.
        above: Likewise the share of normal clips above the level.
        found: Likewise the share of anomalous ones.
        promised: m/(n+1).
        highest: The most normals above the level that a split should have, 97.5 % of the time.
        within: Share of the splits at or below that.
    """

    run: str
    section: str
    clips: int
    rest: int
    auc: dict[str, list[float]]
    above: dict[str, list[float]]
    found: dict[str, list[float]]
    promised: float
    highest: int
    within: float


class _Remembered:
    """Inference that runs each window once."""

    def __init__(self, infer: Inference, seen: dict[tuple[bytes, str], ModelOutput]) -> None:
        self._infer, self._seen = infer, seen

    def __call__(self, features: WindowFeatures, sections: Sequence[str]) -> ModelOutput:
        keys = [(w.tobytes()[:4096], s) for w, s in zip(features.windows, sections, strict=True)]
        for key, window, section in zip(keys, features.windows, sections, strict=True):
            if key not in self._seen:
                self._seen[key] = self._infer(WindowFeatures(window[None]), [section])[0]
        return np.stack([self._seen[k] for k in keys])


def measure(run: Run, section: str, clips: int, splits: int, seed: int) -> Row:
    """All splits of one run's section."""
    bundle = Bundle.open(run.bundle)
    chosen = [c for c in labelled_clips(scan(run.data), run.machine) if (c.section, c.domain) == (section, "target")]
    size = bundle.manifest.window_samples
    windows = np.stack([read_clip(c.path).samples[:size] for c in chosen])
    faulty = np.array([c.label == "anomaly" for c in chosen])
    seen: dict[str, dict[tuple[bytes, str], ModelOutput]] = {m.id: {} for m in bundle.manifest.members}
    sessions = Sessions(threads=2)

    def remembering(which: Bundle) -> BundleScorer:
        scorer = BundleScorer(which, sessions)
        scorer._members = {m: _Remembered(o, seen[m]) for m, o in scorer._members.items()}
        return scorer

    base = remembering(bundle)
    before = {d: _scores(base, windows, section, d) for d in ("source", "target")}
    got: dict[str, dict[str, list[float]]] = {
        k: {"source": [], "target": [], "site": []} for k in ("auc", "above", "found")
    }
    rng, above_counts, promised, m = np.random.default_rng(seed), [], 0.0, 1
    normal = np.flatnonzero(~faulty)
    for _ in range(splits):
        recorded = np.sort(rng.choice(normal, clips, replace=False))
        rest = np.setdiff1d(normal, recorded)
        sound = SiteSound(windows[recorded], [chosen[i].recording for i in recorded])
        condition, arrays = calibrate_site(base, section, "source", sound)
        promised = condition.threshold.window_rate
        m = round(promised * (clips + 1))
        after = remembering(apply_overlay(bundle, condition, arrays))
        scores = {**before, "site": _scores(after, windows, section, "site")}
        levels = {d: bundle.condition(section, d).threshold.raise_level for d in ("source", "target")}
        levels["site"] = condition.threshold.raise_level
        for domain, values in scores.items():
            got["auc"][domain].append(auc(values[rest], values[faulty]))
            got["above"][domain].append(float(np.mean(values[rest] > levels[domain])))
            got["found"][domain].append(float(np.mean(values[faulty] > levels[domain])))
        above_counts.append(int(np.sum(scores["site"][rest] > levels["site"])))
    count = len(normal) - clips
    highest = int(betabinom.ppf(0.975, count, m, clips + 1 - m))
    return Row(
        run.name,
        section,
        clips,
        count,
        *({d: _spread(v) for d, v in got[k].items()} for k in ("auc", "above", "found")),
        promised,
        highest,
        float(np.mean(np.array(above_counts) <= highest)),
    )


def _scores(scorer: BundleScorer, windows: npt.NDArray[np.float32], section: str, domain: str) -> Array:
    return np.array([s.score for s in scorer.score(windows, section, domain)])


def _spread(values: Sequence[float]) -> list[float]:
    return [float(np.mean(values)), *(float(v) for v in np.quantile(values, (0.05, 0.95)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--machine", action="append", help="may be given again; by default all")
    parser.add_argument("--recipe", action="append", help="may be given again; by default all")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for run in find_runs(arguments.runs):
        if run.seed or (arguments.machine and run.machine not in arguments.machine):
            continue
        if arguments.recipe and run.recipe not in arguments.recipe:
            continue
        for section in sorted({c.section for c in Bundle.open(run.bundle).manifest.conditions if c.domain == "target"}):
            row = measure(run, section, arguments.clips, arguments.splits, arguments.seed)
            rows.append(row)
            if not arguments.json:
                _print_row(row)
    if arguments.json:
        print(json.dumps([asdict(r) for r in rows]))
    sys.exit(not rows)


def _print_row(row: Row) -> None:
    def text(values: dict[str, Any]) -> str:
        return "  ".join(f"{d} {100 * v[0]:.1f} ({100 * v[1]:.0f}–{100 * v[2]:.0f})" for d, v in values.items())

    print(f"{row.run} section {row.section}: {row.clips} calibrate, {row.rest} normals scored")
    print(f"  AUC %    {text(row.auc)}")
    print(f"  above %  {text(row.above)}   promised {100 * row.promised:.1f}")
    print(f"  found %  {text(row.found)}")
    print(f"  splits with at most {row.highest} above: {100 * row.within:.0f} %", flush=True)


if __name__ == "__main__":
    main()
