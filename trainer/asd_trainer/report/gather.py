"""Content of the report: scores and labels of every cell, and the training curves of its networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Condition
from asd_trainer.data.dataset import labelled_clips, scan
from asd_trainer.data.layout import Clip
from asd_trainer.evaluation.metrics.submission import read_submission
from asd_trainer.evaluation.score import Evaluation
from asd_trainer.families.base import HIDDEN_STAGE
from asd_trainer.jobs import Job
from asd_trainer.jobs.descriptions import MEMBER
from asd_trainer.jobs.runs import SCORES, jobs_of
from asd_trainer.jobs.store import folder_of

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class ScoredClip:
    """Test clip with its score and label."""

    clip: Clip
    score: float
    anomalous: bool


@dataclass(frozen=True)
class CellReport:
    """One section and domain of a run.

    Attributes:
        measured: Its metrics in evaluation.json.
        condition: Its condition in the bundle: threshold and reference.
        reference: Standardised scores of the held-out normal clips, sorted.
        judged: Test clips, lowest score first.
    """

    measured: Mapping[str, Any]
    condition: Condition
    reference: npt.NDArray[np.float64]
    judged: tuple[ScoredClip, ...]

    @property
    def title(self) -> str:
        """Title for people."""
        return f"section {self.condition.section}, {self.condition.domain}"

    @property
    def level(self) -> float:
        """Raise level: the score above which a window counts as anomalous."""
        return self.condition.threshold.raise_level

    def scores(self, *, anomalous: bool) -> npt.NDArray[np.float64]:
        """Return the scores of one class, shape (clips,)."""
        return np.array([j.score for j in self.judged if j.anomalous == anomalous])

    def misses(self, most: int) -> list[ScoredClip]:
        """Return anomalous clips at or below the threshold, lowest score first."""
        return [j for j in self.judged if j.anomalous and j.score <= self.level][:most]

    def false_alarms(self, most: int) -> list[ScoredClip]:
        """Return normal clips above the threshold, highest score first."""
        return [j for j in reversed(self.judged) if not j.anomalous and j.score > self.level][:most]


@dataclass(frozen=True)
class TrainingCurve:
    """Metrics of the training of one network.

    Attributes:
        member: Name of the network.
        steps: Numbers of the steps.
        values: One value for each step, by name of the metric (`loss`, …).
    """

    member: str
    steps: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class RunReport:
    """One run.

    Attributes:
        evaluation: Its metrics.
        bundle: Its bundle.
        cells: One for each section and domain.
        curves: Training curves of its networks, where their jobs still exist.
    """

    evaluation: Evaluation
    bundle: Bundle
    cells: tuple[CellReport, ...]
    curves: tuple[TrainingCurve, ...]


def gather(evaluation: Evaluation) -> RunReport:
    """Gather the content of the report on a run.

    Raises:
        DataError: Score files or clips are missing.
        BundleError: The bundle is damaged.
    """
    run = evaluation.run
    bundle = Bundle.open(run.bundle)
    clips = {c.path.name: c for c in labelled_clips(scan(run.data), run.machine)}
    scored = {(c.section, c.domain): c for c in read_submission(run.folder / SCORES)}
    cells = []
    for measured in evaluation.document["cells"]:
        section, domain = measured["section"], measured["domain"]
        condition, got = bundle.condition(section, domain), scored[section, domain]
        ordered = sorted(got.scores.items(), key=lambda item: item[1])
        judged = tuple(ScoredClip(clips[n], s, got.labels[n]) for n, s in ordered if n in clips)
        reference = np.asarray(bundle.scorers[condition.reference], dtype=np.float64)
        cells.append(CellReport(measured, condition, reference, judged))
    return RunReport(evaluation, bundle, tuple(cells), _curves(evaluation))


def _curves(evaluation: Evaluation) -> tuple[TrainingCurve, ...]:
    """Return curves of every network and stage, except networks that only judge clips that were left out."""
    out, jobs = jobs_of(evaluation.run)
    found = []
    for number, job in enumerate(j for j in jobs if j.kind == MEMBER):
        files = folder_of(out, job.name).files
        for path in sorted(files.rglob(METRICS)):
            stage = path.parent.relative_to(files).as_posix()
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if rows and not stage.startswith(HIDDEN_STAGE):
                found.append(_curve(_network_name(number, job, "" if stage == "." else stage), rows))
    return tuple(found)


def _network_name(number: int, job: Job, stage: str) -> str:
    """Return a name such as `network 0` or `network 3, section 01, target`."""
    section = job.arguments.get("section")
    parts = [f"network {number}", f"section {section}" if section else "", stage]
    return ", ".join(part for part in parts if part)


def _curve(name: str, rows: Sequence[Mapping[str, float]]) -> TrainingCurve:
    keys = [k for k in rows[0] if k != "step"]
    values = {k: np.array([row.get(k, np.nan) for row in rows]) for k in keys}
    return TrainingCurve(name, np.array([int(row["step"]) for row in rows]), values)
