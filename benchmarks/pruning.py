"""Quality that pruning keeps: members against agreement on normal clips, and against AUC, which no choice has used.

    python benchmarks/pruning.py RUNS --recipe ae-ens --seeds 3

For every run of the recipe below RUNS the members are put in order by normal clips alone, as `asd-trainer export
--members N` does. Then the test clips are scored by every member, and each set of members is measured: the first N in
that order, and all sets of N beside them. It prints the means over machines and seeds of the harmonic mean of AUC and
pAUC (p = 0.1) over sections and domains, in %. For recipes of one expert, whose members alone are combined here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np

from asd_agent.bundle import Bundle
from asd_agent.inference.ensemble import ensemble_score
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.clips import load_clips
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.metrics.roc import auc, harmonic_mean, pauc
from asd_trainer.jobs.pruning import prune_run
from asd_trainer.jobs.runs import Run, find_runs, read_settings
from asd_trainer.recipes.recipe import Prune

BATCH = 16


class Scored:
    """A run's test clips as every member scores them.

    Args:
        run: The whole ensemble, of one expert.
    """

    def __init__(self, run: Run) -> None:
        bundle = Bundle.open(run.bundle)
        scorer = BundleScorer(bundle)
        clips = scan(run.data).select(machine=run.machine, split="test")
        self.cells = []
        for condition in bundle.manifest.conditions:
            own = [c for c in clips if (c.section, c.domain) == (condition.section, condition.domain)]
            labels = np.array([c.label == "anomaly" for c in own])
            if not 0 < labels.sum() < len(own):
                continue
            (expert,) = condition.experts
            windows, scores = load_clips(own), []
            for start in range(0, len(own), BATCH):
                x = windows.floats(slice(start, start + BATCH))
                scores += [s.members for s in scorer.score(x, condition.section, condition.domain)]
            raw = {u.member: np.array([s[u.member] for s in scores]) for u in expert.members}
            uses = {u.member: (u.standardisation, bundle.scorers[u.reference]) for u in expert.members}
            self.cells.append((labels, raw, uses, expert.combination))

    def measure(self, kept: Collection[str]) -> float:
        """Harmonic mean of AUC and pAUC over all cells, of some members."""
        values = []
        for labels, raw, uses, combination in self.cells:
            by = [uses[m] for m in kept]
            scores = ensemble_score(
                np.stack([raw[m] for m in kept]), [s for s, _ in by], [r for _, r in by], combination
            )
            values += [f(scores[~labels], scores[labels]) for f in (auc, pauc)]
        return 100 * harmonic_mean(values)


def main() -> None:
    """Measure and print a table in Markdown, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--recipe", default="ae-ens")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--machine", action="append")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = [r for r in find_runs(asked.runs) if r.recipe == asked.recipe and r.seed < asked.seeds]
    rows = []
    for run in (r for r in found if not asked.machine or r.machine in asked.machine):
        order = prune_run(run, read_settings(run), Prune(members=1)).order
        scored = Scored(run)
        for n in range(1, len(order.members) + 1):
            sets = [scored.measure(s) for s in itertools.combinations(sorted(order.members), n)]
            kept = scored.measure(order.members[:n])
            row = {"run": run.name, "members": n, "agreement": order.agreement[n - 1], "kept": kept, "sets": sets}
            rows.append(row)
            sys.stderr.write(f"{run.name}: {n} members, agreement {row['agreement']:.3f}, {kept:.1f} %\n")
    print(json.dumps(rows, indent=1) if asked.json else table(rows))


def table(rows: list[dict]) -> str:
    """Means over runs, members by members."""
    titles = (
        "members",
        "agreement, mean (lowest)",
        "first of the order",
        "all sets, mean (worst to best)",
        "against all",
    )
    lines = [f"| {' | '.join(titles)} |", "|---:" * len(titles) + "|"]
    most = max(r["members"] for r in rows)
    whole = {r["run"]: r["kept"] for r in rows if r["members"] == most}
    for n in range(1, most + 1):
        here = [r for r in rows if r["members"] == n]
        agreement = [r["agreement"] for r in here]
        against = [r["kept"] - whole[r["run"]] for r in here]
        sets = [np.mean(r["sets"]) for r in here]
        low, high = (np.mean([f(r["sets"]) for r in here]) for f in (min, max))
        lines.append(
            f"| {n} | {np.mean(agreement):.3f} ({min(agreement):.3f}) | {np.mean([r['kept'] for r in here]):.1f} "
            f"| {np.mean(sets):.1f} ({low:.1f} to {high:.1f}) "
            f"| {np.mean(against):+.1f} ({min(against):+.1f} to {max(against):+.1f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
