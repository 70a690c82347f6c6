"""Scoring the test clips of a run through the agent's own code, and measuring them the official way.

`streaming` scores use the bundle's frozen statistics and are what ships; `transductive` ones are standardised over
the test clips of a cell, as in the paper, for comparison with its table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.audio import read_clip
from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Condition
from asd_agent.calibrate.condition import standardisation
from asd_agent.errors import DataError
from asd_agent.scoring.combine import combine
from asd_agent.scoring.scorer import BundleScorer, WindowScore, score_long
from asd_agent.scoring.sessions import Sessions
from asd_trainer.data.dataset import scan
from asd_trainer.data.layout import Clip
from asd_trainer.metrics.bootstrap import cell_intervals, mean_interval
from asd_trainer.metrics.result import measure, to_csv
from asd_trainer.metrics.submission import ScoredCell, write_submission
from asd_trainer.train import Run
from asd_trainer.whole_files import whole_file, write_json
from asd_trainer.windows import Progress

EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """A run's test clips, scored.

    Attributes:
        streaming: Cells with frozen statistics.
        transductive: The same cells standardised over their own clips; without decisions.
        unscored: Test clips that no condition of the bundle can score, in words.
    """

    run: Run
    streaming: tuple[ScoredCell, ...]
    transductive: tuple[ScoredCell, ...]
    unscored: tuple[str, ...]


def evaluate_run(run: Run, progress: Progress | None = None) -> Evaluation:
    """Score every labelled test clip of a run's machine and write submission files, result.csv and evaluation.json.

    Raises:
        DataError: The data set is gone or has no labelled test clips of this machine.
        BundleError: The run's bundle is damaged.
    """
    clips = [c for c in scan(run.data).select(machine=run.machine, split="test") if c.label is not None]
    if not clips:
        raise DataError(f"{run.data}: has no labelled test clips of {run.machine}", "See `asd-trainer inspect`.")
    scorer = BundleScorer(Bundle.open(run.bundle), Sessions(threads=2))
    streaming: list[ScoredCell] = []
    transductive: list[ScoredCell] = []
    unscored: list[str] = []
    done = 0
    for section, domain in sorted({(c.section, c.domain or "source") for c in clips}):
        cell = [c for c in clips if (c.section, c.domain or "source") == (section, domain)]
        condition = scorer.bundle.manifest.condition(section, domain)
        if condition is None:
            unscored.append(f"{run.machine} section {section} {domain}: {len(cell)} test clips, no training clips")
            continue
        got: dict[str, WindowScore] = {}
        for clip in cell:
            got[clip.path.name] = score_long(scorer, read_clip(clip.path).samples, section, domain)
            done += 1
            if progress:
                progress(f"{run.recipe}, {run.machine}: clips scored", done, len(clips))
        frozen = {n: s.score for n, s in got.items()}
        streaming.append(_cell(run.machine, cell, frozen, condition, decide=True))
        over_cell = dict(zip(got, _transductive(list(got.values()), condition).tolist(), strict=True))
        transductive.append(_cell(run.machine, cell, over_cell, condition, decide=False))
    evaluation = Evaluation(run, tuple(streaming), tuple(transductive), tuple(unscored))
    _write(evaluation)
    return evaluation


def _cell(
    machine: str, clips: Sequence[Clip], scores: dict[str, float], condition: Condition, *, decide: bool
) -> ScoredCell:
    level = condition.threshold.raise_level
    return ScoredCell(
        machine,
        condition.section,
        condition.domain,
        scores,
        {n: s > level for n, s in scores.items()} if decide else None,
        {c.path.name: c.label == "anomaly" for c in clips},
    )


def _transductive(scores: Sequence[WindowScore], condition: Condition) -> npt.NDArray[np.float64]:
    """Scores of a cell's clips with statistics of those very clips (the paper's d' and its normalised ensembles)."""
    experts: list[npt.NDArray[np.float64]] = []
    for expert in condition.experts:
        raw = np.array([[s.members[use.member] for s in scores] for use in expert.members])
        experts.append(combine(raw, [standardisation(r) for r in raw], [np.sort(r) for r in raw], expert.combination))
    stacked = np.stack(experts)
    return combine(stacked, [standardisation(e) for e in stacked], [np.sort(e) for e in stacked], condition.combination)


def _write(evaluation: Evaluation) -> None:
    folder = evaluation.run.folder
    write_submission(folder / "scores", evaluation.streaming)
    result = measure(evaluation.streaming)
    with whole_file(folder / "scores" / "result.csv") as partial:
        partial.write_text(to_csv(result), encoding="utf-8")
    write_json(folder / EVALUATION, summary(evaluation))


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """What was measured, for programs and for the manifest."""
    run = evaluation.run
    result = measure(evaluation.streaming)
    cells = []
    for got, scored in zip(result.cells, _in_order(evaluation.streaming), strict=True):
        pair = scored.cell()
        assert pair is not None
        auc, pauc = cell_intervals(pair)
        cells.append(
            {
                "section": got.section,
                "domain": got.domain,
                "normal": got.normal,
                "anomalous": got.anomalous,
                "auc": [auc.value, auc.low, auc.high],
                "pauc": [pauc.value, pauc.low, pauc.high],
                "precision": got.values[2],
                "recall": got.values[3],
                "f1": got.values[4],
                "false_alarm_rate": _false_alarms(scored),
            }
        )
    pairs = [c for c in (s.cell() for s in evaluation.streaming) if c]
    over_all = mean_interval(pairs) if pairs else None
    return {
        "schema": 1,
        "recipe": run.recipe,
        "seed": run.seed,
        "machine": run.machine,
        "data": str(run.data),
        "cells": cells,
        "harmonic_mean": [over_all.value, over_all.low, over_all.high] if over_all else None,
        "harmonic_mean_transductive": measure(evaluation.transductive).harmonic() if pairs else None,
        "left_out": [*result.left_out, *evaluation.unscored],
    }


def _in_order(cells: Sequence[ScoredCell]) -> list[ScoredCell]:
    return [c for c in sorted(cells, key=lambda c: (c.machine, c.domain, c.section)) if c.cell() is not None]


def _false_alarms(scored: ScoredCell) -> float | None:
    normal = [scored.decisions[n] for n, a in scored.labels.items() if not a] if scored.decisions else []
    return float(np.mean(normal)) if normal else None


def read_summary(run: Run) -> dict[str, Any] | None:
    """What was measured of a run, if it was."""
    import json

    path: Path = run.folder / EVALUATION
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
