"""Reader and writer of anomaly scores and decisions in the official form.

The files are `anomaly_score_<machine>_section_<NN>_<domain>[_test].csv` and `decision_result_…`. They have no header;
a line holds the name of a clip and its score (or 0/1). Labels are in the names, or in a ground-truth folder.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.errors import DataError
from asd_trainer.evaluation.metrics.bootstrap import Cell
from asd_trainer.evaluation.metrics.ground_truth import GroundTruth, read_truth
from asd_trainer.evaluation.metrics.rows import read_rows, write_rows

_NAME = re.compile(
    r"(?P<what>anomaly_score|decision_result)_(?:DCASE\d{4}T2)?(?P<machine>.+)_(?P<kind>section|id)_(?P<section>\d{2})"
    r"(?:_(?P<domain>source|target))?(?:_test)?(?:_seed\d+.*)?\.csv\Z"
)

_RECORDING = re.compile(r"_rec_(?P<recording>[A-Za-z0-9-]+)")
"""The attribute by which `asd-trainer import` and `asd-agent record` name the recording of a clip."""


@dataclass(frozen=True)
class ScoredCell:
    """One machine, section and domain of a submission.

    Attributes:
        scores: Score by clip name.
        decisions: True for anomalous, by clip name; None without a decision file.
        labels: True for an anomalous clip, by clip name.
        recordings: Recording of a clip, by clip name; a clip that is missing is a recording of its own.
    """

    machine: str
    section: str
    domain: str
    scores: Mapping[str, float]
    decisions: Mapping[str, bool] | None
    labels: Mapping[str, bool]
    recordings: Mapping[str, str] = field(default_factory=dict)

    def cell(self) -> Cell | None:
        """Return scores by class in the order of names, so that cells of other systems pair clip by clip.

        None with one class only, where no AUC is defined.
        """
        ordered = sorted(self.scores.items())
        normal = [name for name, _ in ordered if not self.labels[name]]
        anomalous = [name for name, _ in ordered if self.labels[name]]
        if not normal or not anomalous:
            return None
        scores = [np.array([self.scores[n] for n in names]) for names in (normal, anomalous)]
        return Cell(scores[0], scores[1], self._numbered(normal), self._numbered(anomalous))

    def _numbered(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the number of the recording of each clip, in the order in which recordings occur."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(self.recordings.get(n, n), len(numbers)) for n in names])


@dataclass(frozen=True)
class Submission:
    """Content of a folder of score files.

    Attributes:
        cells: Cells that could be read.
        problems: Files that could not be read or are missing.
        within_domain: True if each file holds one domain, as in 2020 and 2021.
    """

    cells: tuple[ScoredCell, ...]
    problems: tuple[DataError, ...]
    within_domain: bool


def read_submission(folder: Path, truth: Path | None = None) -> list[ScoredCell]:
    """Read every score file of a folder, with decisions and labels.

    Args:
        folder: Folder of the score files.
        truth: Folder of the labels (see `read_truth`); None takes them from the names inside the score files.

    Raises:
        DataError: The first problem that `read_all` finds.
    """
    submission = read_all(folder, read_truth(truth) if truth else GroundTruth())
    if submission.problems:
        raise submission.problems[0]
    return list(submission.cells)


def read_all(folder: Path, truth: GroundTruth) -> Submission:
    """Read every score file that can be read, and collect the problems of the others.

    Problems are: a file that is not a csv file of two columns; a repeated name; a score that is not finite; decisions
    on other clips than the scores; a clip without label or domain; decisions without scores, and scores without
    decisions where others have some; a file of the ground truth without scores.

    Raises:
        DataError: The folder does not exist or has no score files.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "Give the folder of the anomaly_score_….csv files.")
    files = [(p, m) for p in sorted(folder.glob("*.csv")) if (m := _NAME.match(p.name))]
    scored = {p: m for p, m in files if m["what"] == "anomaly_score"}
    if not scored:
        raise DataError(
            f"{folder}: has no score files", "Their names are like anomaly_score_<machine>_section_00_source_test.csv."
        )
    decided = {p for p, m in files if m["what"] == "decision_result"}
    problems = _missing(folder, set(scored), decided, truth)
    cells: dict[tuple[str, str, str], ScoredCell] = {}
    for path, match in scored.items():
        try:
            for cell in _read(path, match, _decision_file(path), truth):
                key = cell.machine, cell.section, cell.domain
                if key in cells:
                    raise DataError(  # noqa: TRY301 - collected with the others
                        f"{path}: {cell.machine} section {cell.section} {cell.domain} is scored by another file too",
                        "Keep one of them.",
                    )
                cells[key] = cell
        except DataError as error:
            problems.append(error)
    return Submission(
        tuple(cells.values()), tuple(problems), any(m["domain"] or m["kind"] == "id" for m in scored.values())
    )


def write_submission(folder: Path, cells: Iterable[ScoredCell]) -> None:
    """Write score and decision files in the official form."""
    for cell in cells:
        tail = f"{cell.machine}_section_{cell.section}_{cell.domain}_test.csv"
        write_rows(folder / f"anomaly_score_{tail}", ((n, repr(float(s))) for n, s in sorted(cell.scores.items())))
        if cell.decisions is not None:
            rows = ((n, str(int(d))) for n, d in sorted(cell.decisions.items()))
            write_rows(folder / f"decision_result_{tail}", rows)


def _read(path: Path, match: re.Match[str], decision_file: Path, truth: GroundTruth) -> list[ScoredCell]:
    machine = match["machine"]
    scores = {name: _number(path, name, text) for name, text in read_rows(path)}
    decisions = _decisions(decision_file, path.name, scores) if decision_file.is_file() else None
    labels = {name: truth.is_anomalous(path, machine, name) for name in scores}
    domains: dict[str, list[str]] = defaultdict(list)
    for name in scores:
        domains[match["domain"] or truth.domain(path, machine, name)].append(name)
    return [
        ScoredCell(
            machine,
            match["section"],
            domain,
            {n: scores[n] for n in names},
            {n: decisions[n] for n in names} if decisions is not None else None,
            {n: labels[n] for n in names},
            {n: found["recording"] for n in names if (found := _RECORDING.search(n))},
        )
        for domain, names in sorted(domains.items())
    ]


def _missing(folder: Path, scored: set[Path], decided: set[Path], truth: GroundTruth) -> list[DataError]:
    wanted = {_decision_file(p): p for p in scored}
    problems = [
        DataError(f"{path}: has decisions on clips without scores", "Add the score file of that name, or remove it.")
        for path in sorted(decided - set(wanted))
    ]
    problems += [
        DataError(f"{path}: is missing, but {wanted[path].name} exists", "Add it, or leave out all decisions.")
        for path in (sorted(set(wanted) - decided) if decided else ())
    ]
    found = [m for p in scored if (m := _NAME.match(p.name))]
    there = {(m["machine"], m["section"], m["domain"]) for m in found}
    for machine, section, domain in sorted(truth.cells, key=str):
        if not there & {(machine, section, d) for d in ((domain, None) if domain else (None, "source", "target"))}:
            tail = (
                f"{machine}_section_{section}_{domain}_test.csv" if domain else f"{machine}_section_{section}_test.csv"
            )
            problems.append(
                DataError(
                    f"{folder / f'anomaly_score_{tail}'}: is missing, but its clips are in the ground truth",
                    "Score them, or give the ground truth of the scored clips.",
                )
            )
    return problems


def _number(path: Path, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: the score of {name} is {text.strip()!r}, not a finite number", "Score it again.")
    return value


def _decision_file(path: Path) -> Path:
    return path.with_name(path.name.replace("anomaly_score_", "decision_result_", 1))


def _decisions(path: Path, scores_name: str, scores: Mapping[str, float]) -> dict[str, bool]:
    decisions: dict[str, bool] = {}
    for name, text in read_rows(path):
        if text.strip() not in ("0", "1"):
            raise DataError(f"{path}: the decision on {name} is {text.strip()!r}", "Write 0 or 1.")
        decisions[name] = text.strip() == "1"
    if len(decisions) != len(scores):
        raise DataError(
            f"{path}: has {len(decisions)} decisions, {scores_name} has {len(scores)} scores",
            "Write the same clips into both.",
        )
    lacking = sorted(set(scores) - set(decisions))
    if lacking:
        raise DataError(
            f"{path}: has no decision on {lacking[0]}", f"{scores_name} has its score. Write the same clips into both."
        )
    return decisions
