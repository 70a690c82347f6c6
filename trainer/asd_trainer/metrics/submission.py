"""Files of anomaly scores and decisions in the official form, read and written.

`anomaly_score_<machine>_section_<NN>_<domain>[_test].csv` and `decision_result_…`: no header, a clip's name and its
score (or 0/1) a line. Labels stand in the names, or in a truth folder.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_agent.errors import DataError
from asd_trainer.metrics.bootstrap import Cell
from asd_trainer.whole_files import whole_file

_NAME = re.compile(
    r"anomaly_score_(?P<machine>.+)_section_(?P<section>\d{2})(?:_(?P<domain>source|target))?(?:_test)?(?:_seed\d+)?\.csv\Z"
)
_TRUTH = re.compile(
    r"ground_truth_(?P<machine>.+)_section_(?P<section>\d{2})_(?P<domain>source|target)(?:_test)?\.csv\Z"
)


@dataclass(frozen=True)
class ScoredCell:
    """One machine, section and domain of a submission.

    Attributes:
        scores: By clip name.
        decisions: By clip name; None without a decision file.
        labels: Whether each clip is anomalous, by name; clips without a label are left out.
    """

    machine: str
    section: str
    domain: str
    scores: Mapping[str, float]
    decisions: Mapping[str, bool] | None
    labels: Mapping[str, bool]

    def cell(self) -> Cell | None:
        """Scores by class; None where only one class is there and no AUC is defined."""
        normal = [s for name, s in self.scores.items() if self.labels[name] is False]
        anomalous = [s for name, s in self.scores.items() if self.labels[name]]
        return Cell(np.array(normal), np.array(anomalous)) if normal and anomalous else None


def read_submission(folder: Path, truth: Path | None = None) -> list[ScoredCell]:
    """Every score file of a folder, with its decisions and labels.

    Args:
        folder: The score files.
        truth: Folder of `ground_truth_….csv` files or of clips whose names bear labels; None takes them from the
            names inside the score files.

    Raises:
        DataError: No score files; a name twice; a score that is no number; scores and decisions of different clips;
            a clip without a label.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "Give the folder that holds anomaly_score_….csv files.")
    files = sorted((p, m) for p in folder.glob("anomaly_score_*.csv") if (m := _NAME.match(p.name)))
    if not files:
        raise DataError(
            f"{folder}: holds no score files", "They are named anomaly_score_<machine>_section_00_source_test.csv."
        )
    known = _truth_labels(truth) if truth else None
    cells: list[ScoredCell] = []
    for path, match in files:
        scores = {name: _number(path, name, text) for name, text in _rows(path)}
        decisions = _decisions(path, scores)
        labels = {name: _label(path, match["machine"], name, known) for name in scores}
        for domain, names in _by_domain(match["domain"], scores).items():
            cells.append(
                ScoredCell(
                    match["machine"],
                    match["section"],
                    domain,
                    {n: scores[n] for n in names},
                    {n: decisions[n] for n in names} if decisions is not None else None,
                    {n: labels[n] for n in names},
                )
            )
    return cells


def write_submission(folder: Path, cells: Iterable[ScoredCell]) -> None:
    """Write score and decision files in the official form."""
    for cell in cells:
        tail = f"{cell.machine}_section_{cell.section}_{cell.domain}_test.csv"
        _write(folder / f"anomaly_score_{tail}", ((n, repr(float(s))) for n, s in sorted(cell.scores.items())))
        if cell.decisions is not None:
            _write(folder / f"decision_result_{tail}", ((n, str(int(d))) for n, d in sorted(cell.decisions.items())))


def _write(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _rows(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    seen: set[str] = set()
    found: list[tuple[str, str]] = []
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise DataError(f"{path}: line {number} has {len(row)} columns", "Write a clip's name and its value.")
        name = Path(row[0]).name
        if name in seen:
            raise DataError(f"{path}: {name} stands twice", "Score each clip once.")
        seen.add(name)
        found.append((name, row[1]))
    if not found:
        raise DataError(f"{path}: is empty", "Write a clip's name and its value on each line.")
    return found


def _number(path: Path, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: the score of {name} is {text.strip()!r}, not a finite number", "Score it again.")
    return value


def _decisions(path: Path, scores: Mapping[str, float]) -> dict[str, bool] | None:
    other = path.with_name(path.name.replace("anomaly_score_", "decision_result_", 1))
    if not other.is_file():
        return None
    decisions: dict[str, bool] = {}
    for name, text in _rows(other):
        if text.strip() not in ("0", "1"):
            raise DataError(f"{other}: the decision on {name} is {text.strip()!r}", "Write 0 or 1.")
        decisions[name] = text.strip() == "1"
    if len(decisions) != len(scores):
        raise DataError(
            f"{other}: decides on {len(decisions)} clips, {path.name} scores {len(scores)}", "Let both hold the same."
        )
    lacking = sorted(set(scores) - set(decisions))
    if lacking:
        raise DataError(f"{other}: does not decide on {lacking[0]}", f"{path.name} scores it. Let both hold the same.")
    return decisions


def _label(path: Path, machine: str, name: str, known: Mapping[tuple[str, str], bool] | None) -> bool:
    if known is not None:
        if (machine, name) not in known:
            raise DataError(f"{path}: the truth folder says nothing of {name}", "Give the truth of this data set.")
        return known[machine, name]
    if "_anomaly_" in name or name.startswith("anomaly_"):
        return True
    if "_normal_" in name or name.startswith("normal_"):
        return False
    raise DataError(f"{path}: {name} bears no label", "Give the truth: --truth FOLDER.")


def _truth_labels(folder: Path) -> dict[tuple[str, str], bool]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "Give the folder that holds ground_truth_….csv files, or clips.")
    labels: dict[tuple[str, str], bool] = {}
    for path in sorted(folder.rglob("ground_truth_*.csv")):
        if match := _TRUTH.match(path.name):
            labels.update({(match["machine"], name): text.strip() == "1" for name, text in _rows(path)})
    if labels:
        return labels
    from asd_trainer.data.dataset import scan

    for clip in scan(folder).clips:
        if clip.label is not None:
            labels[clip.machine, clip.path.name] = clip.label == "anomaly"
    return labels


def _by_domain(domain: str | None, names: Iterable[str]) -> dict[str, list[str]]:
    """Official files of 2021 hold one domain each; later ones hold both, told by the clips' names."""
    if domain:
        return {domain: list(names)}
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault("target" if "_target_" in name else "source", []).append(name)
    return found
