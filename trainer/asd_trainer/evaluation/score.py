"""Evaluation of a run: its test clips are scored by the code of the agent and measured by the official metrics.

`streaming` scores use the frozen statistics of the bundle, as on a box. `transductive` scores are standardised over the
test clips of a cell, as in the paper, for comparison with its table.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rate import Rule, rate_to_find
from asd_agent.audio.files import full_window, read_clip
from asd_agent.bundle import Bundle
from asd_agent.bundle.arrays import load_arrays, save_arrays
from asd_agent.bundle.manifest import Condition
from asd_agent.errors import DataError
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer, WindowScore, score_long
from asd_agent.parallel import in_order
from asd_agent.whole_files import whole_file
from asd_trainer.data.dataset import scan
from asd_trainer.data.digests import Digests
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import DataSplit, HeldOut
from asd_trainer.engine.progress import StageProgress
from asd_trainer.evaluation.metrics.bootstrap import DRAWS, Cell, harmonic_means, interval, resampled
from asd_trainer.evaluation.metrics.result import measure, to_csv
from asd_trainer.evaluation.metrics.roc import auc, pauc
from asd_trainer.evaluation.metrics.submission import ScoredCell, write_submission
from asd_trainer.evaluation.transductive import same_ranking, transductive_scores
from asd_trainer.jobs import Job, Task, run_jobs
from asd_trainer.jobs import digests as job_digests
from asd_trainer.jobs.bodies import TaskProgress
from asd_trainer.jobs.descriptions import evaluation_job, split_folder
from asd_trainer.jobs.executor import OnStatus
from asd_trainer.jobs.launch import Launcher
from asd_trainer.jobs.machine_clips import MachineClips
from asd_trainer.jobs.plan import Plan
from asd_trainer.jobs.runs import SCORES, Run, jobs_of, publish_evaluation, read_settings, read_summary
from asd_trainer.jobs.store import folder_of
from asd_trainer.jobs.train import report_steps

DRAWN = "draws.npz"
Drawn = Mapping[str, npt.NDArray[np.float64]]
"""AUC and pAUC under resampling of the clips of a cell, shape (2, draws), by `<section>/<domain>`."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a run.

    Attributes:
        run: The run.
        document: Content of evaluation.json.
        drawn: Metrics of its cells under resampling; runs that scored the same clips draw the same clips.
    """

    run: Run
    document: Mapping[str, Any]
    drawn: Drawn


def evaluate_runs(
    runs: Sequence[Run], *, workers: int | Launcher = 1, on_status: OnStatus | None = None
) -> list[Evaluation]:
    """Score every labelled test clip of the machine of each run; write submission files, result.csv, evaluation.json.

    Runs that were scored before are not scored again.

    Raises:
        DataError: A data set is missing or has no labelled test clips of a machine; the jobs of a run are missing.
        JobsFailedError: A job failed, for instance on an unreadable clip; the others are done.
    """
    graphs: dict[Path, dict[str, Job]] = defaultdict(dict)
    wanted: list[tuple[Run, Path, str]] = []
    remembered: dict[Path, Digests] = {}
    scanned = {root: scan(root) for root in {run.data for run in runs}}
    for run in runs:
        out, jobs = jobs_of(run)
        clips = MachineClips(scanned[run.data], run.machine, remembered.setdefault(out, Digests(out)))
        if not clips.testing:
            raise DataError(f"{run.data}: has no labelled test clips of {run.machine}", "See `asd-trainer inspect`.")
        held_out = HeldOut.model_validate(read_settings(run).get("held_out", {}))
        split = DataSplit.of(clips.data, held_out, run.seed).store(split_folder(out))
        name = f"{run.folder.resolve().relative_to(out)}/evaluation"
        job = evaluation_job(name, clips, split, run.job)
        graphs[out].update({j.name: j for j in [*jobs, job]})
        wanted.append((run, out, name))
    for known in remembered.values():
        known.remember()
    digests = {out: job_digests(list(jobs.values())) for out, jobs in graphs.items()}
    try:
        for out, graph in graphs.items():
            run_jobs(list(graph.values()), out, workers=workers, on_status=on_status)
    finally:
        for run, out, name in wanted:
            publish_evaluation(run, folder_of(out, digests[out][name]))
    return [read_evaluation(run) for run in runs]


def evaluate_run(run: Run, progress: StageProgress | None = None) -> Evaluation:
    """Evaluate one run, as `evaluate_runs`."""
    (one,) = evaluate_runs([run], on_status=report_steps(progress) if progress else None)
    return one


def read_evaluation(run: Run) -> Evaluation:
    """Read the metrics of a run.

    Raises:
        DataError: The run has not been evaluated.
    """
    document = read_summary(run)
    if document is None:
        raise DataError(f"{run.folder}: has not been evaluated", "Run asd-trainer evaluate.")
    return Evaluation(run, document, load_arrays(run.folder / SCORES / DRAWN))


def evaluations_of(plan: Plan) -> tuple[list[Evaluation], list[str]]:
    """Return the evaluations of a plan that are done, and sentences about those that are not."""
    done: list[Evaluation] = []
    missing: list[str] = []
    for one in plan.runs:
        if one.evaluation is None:
            continue
        if (read_summary(one.run) or {}).get("job") == one.evaluation:
            done.append(read_evaluation(one.run))
        else:
            missing.append(f"{one.run.name}: one of its jobs failed")
    return done, missing


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return the metrics for programs and for the manifest."""
    return dict(evaluation.document)


def evaluate_bundle(task: Task, machine: str, data: str, split: str) -> dict[str, Any]:
    """Run a job: score the test clips of a machine with the bundle of the job it depends on.

    Returns:
        Metrics of the cells, for evaluation.json.

    Raises:
        AudioError: A clip cannot be read.
        BundleError: The bundle is damaged.
    """
    (made,) = task.dependencies.values()
    scorer = BundleScorer(Bundle.open(made.folder / "bundle"), Sessions())
    clips = DataSplit.read(Path(split), Path(data)).testing(machine)
    steps = TaskProgress(task, len(clips))
    streaming: list[ScoredCell] = []
    transductive: list[ScoredCell] = []
    unscored: list[str] = []
    members: dict[str, dict[str, list[float]]] = {}
    experts: dict[str, dict[str, list[float]]] = {}
    for section, domain in sorted({_place(c) for c in clips}):
        chosen = [c for c in clips if _place(c) == (section, domain)]
        condition = scorer.bundle.manifest.condition(section, domain)
        if condition is None:
            unscored.append(f"{machine} section {section} {domain}: {len(chosen)} test clips, no training clips")
            continue
        got: dict[str, WindowScore] = {}

        def score_clip(clip: Clip, section: str = section, domain: str = domain) -> WindowScore:
            signal = full_window(clip.path, read_clip(clip.path).samples, scorer.bundle.manifest.window_samples)
            return score_long(scorer, signal, section, domain)

        for clip, score in zip(chosen, in_order(score_clip, chosen), strict=True):
            got[clip.path.name] = score
            steps(f"{section} {domain}", len(got), len(chosen))
        frozen = {n: s.score for n, s in got.items()}
        streaming.append(_cell(machine, chosen, frozen, condition, decide=True))
        over_cell = dict(zip(got, transductive_scores(scorer, chosen, list(got.values()), condition), strict=True))
        transductive.append(_cell(machine, chosen, over_cell, condition, decide=False))
        if len(set(streaming[-1].labels.values())) == 2:  # no metric is defined for one class
            members[f"{section}/{domain}"] = _alone({n: s.members for n, s in got.items()}, streaming[-1])
            experts[f"{section}/{domain}"] = _alone({n: s.experts for n, s in got.items()}, streaming[-1])
    write_submission(task.folder / SCORES, streaming)
    with whole_file(task.folder / SCORES / "result.csv") as partial:
        partial.write_text(to_csv(measure(streaming)), encoding="utf-8")
    drawn = {f"{c.section}/{c.domain}": _draw(c, pair) for c in streaming if (pair := c.cell()) is not None}
    save_arrays(task.folder / SCORES / DRAWN, drawn)
    measured = _measures(scorer.bundle, streaming, transductive, drawn, unscored)
    by_labels = scorer.bundle.manifest.provenance.chosen_by_labels
    return {**measured, "members": members, "experts": experts, "chosen_by_labels": by_labels}


def _place(clip: Clip) -> tuple[str, str]:
    return clip.section, clip.domain or "source"


def _cell(
    machine: str, clips: Sequence[Clip], scores: dict[str, float], condition: Condition, *, decide: bool
) -> ScoredCell:
    level = condition.threshold.raise_level
    return ScoredCell(
        machine,
        condition.section,
        condition.domain,
        dict(sorted(scores.items())),
        {n: s > level for n, s in scores.items()} if decide else None,
        {c.path.name: c.label == "anomaly" for c in clips},
        {c.path.name: c.recording for c in clips},
    )


def _alone(scores: Mapping[str, Mapping[str, float]], scored: ScoredCell) -> dict[str, list[float]]:
    """Return AUC and pAUC of the scores of each member or expert, which are given by clip and name."""
    found = {}
    for name in next(iter(scores.values())):
        of = {
            anomalous: np.array([s[name] for n, s in scores.items() if scored.labels[n] is anomalous])
            for anomalous in (False, True)
        }
        found[name] = [auc(of[False], of[True]), pauc(of[False], of[True])]
    return found


def _draw(scored: ScoredCell, pair: Cell) -> npt.NDArray[np.float64]:
    """Return AUC and pAUC under resampling; the seed comes from the names of the clips, which pairs systems by clip."""
    rng = np.random.default_rng(int(_clips_digest(scored), 16))
    return np.stack(resampled(pair, DRAWS, rng))


def _clips_digest(scored: ScoredCell) -> str:
    where = f"{scored.machine}/{scored.section}/{scored.domain}"
    names = "\n".join(f"{name} {int(anomalous)}" for name, anomalous in sorted(scored.labels.items()))
    return hashlib.sha256(f"{where}\n{names}".encode()).hexdigest()[:16]


def _measures(
    bundle: Bundle,
    streaming: Sequence[ScoredCell],
    transductive: Sequence[ScoredCell],
    drawn: Drawn,
    unscored: Sequence[str],
) -> dict[str, Any]:
    result = measure(streaming)
    scored = {(c.section, c.domain): c for c in streaming}
    paper = {(c.section, c.domain): c.cell() for c in transductive}
    cells = []
    for got in result.cells:
        key = got.section, got.domain
        condition, other, own = bundle.condition(*key), paper[key], scored[key].cell()
        assert other is not None
        assert own is not None
        draws = drawn[f"{got.section}/{got.domain}"]
        first, second = got.values[0] or 0.0, got.values[1] or 0.0
        cells.append(
            {
                "section": got.section,
                "domain": got.domain,
                "normal": got.normal,
                "anomalous": got.anomalous,
                "recordings": list(own.units),
                "clips": _clips_digest(scored[key]),
                "training_clips": condition.clips,
                "provisional": condition.provisional,
                "auc": _triple(first, draws[0]),
                "pauc": _triple(second, draws[1]),
                "auc_transductive": auc(other.normal, other.anomalous),
                "pauc_transductive": pauc(other.normal, other.anomalous),
                "transductive_is_streaming": same_ranking(condition),
                "precision": got.values[2],
                "recall": got.values[3],
                "f1": got.values[4],
                "false_alarm_rate": _false_alarms(scored[key]),
                **_rates(bundle, condition, own.anomalous),
            }
        )
    over_all = None
    if cells:
        together = np.concatenate([drawn[f"{c.section}/{c.domain}"] for c in result.cells])
        over_all = _triple(result.harmonic(), harmonic_means(together))
    return {
        "cells": cells,
        "harmonic_mean": over_all,
        "harmonic_mean_transductive": measure(transductive).harmonic() if cells else None,
        "left_out": [*result.left_out, *unscored],
    }


def _triple(value: float, drawn: npt.NDArray[np.float64]) -> list[float]:
    found = interval(value, drawn)
    return [found.value, found.low, found.high]


def _rates(bundle: Bundle, condition: Condition, faulty: npt.NDArray[np.float64]) -> dict[str, float | None]:
    """Return alarms a day of normal sound: wanted, expected, upper limit, and those at which faults are found."""
    threshold, reference = condition.threshold, bundle.scorers[condition.reference]
    rule = Rule(**threshold.rule.model_dump()) if threshold.rule else Rule()
    return {
        "wanted_per_day": threshold.wanted_per_day,
        "expected_per_day": threshold.false_alarms_per_day,
        "upper_per_day": threshold.upper_per_day,
        "upper_alone_per_day": threshold.upper_alone_per_day,
        "half_found_per_day": rate_to_find(0.5, faulty, reference, rule),
        "most_found_per_day": rate_to_find(0.9, faulty, reference, rule),
    }


def _false_alarms(scored: ScoredCell) -> float | None:
    normal = [scored.decisions[n] for n, a in scored.labels.items() if not a] if scored.decisions else []
    return float(np.mean(normal)) if normal else None
