"""Metrics of a submission in the form of the official result.csv: a block for each machine, means below it.

There are two official definitions. Until 2021 AUC and pAUC are computed within one domain. From 2022 on the AUC of a
domain compares its normal clips with the anomalous clips of both domains, and a section has one pAUC over both.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_agent.errors import DataError
from asd_trainer.evaluation.metrics.bootstrap import Cell
from asd_trainer.evaluation.metrics.roc import auc, decision_metrics, harmonic_mean, pauc
from asd_trainer.evaluation.metrics.submission import ScoredCell

COLUMNS = ("AUC", "pAUC", "precision", "recall", "F1 score")
DOMAINS = ("source", "target")
SHARED_COLUMNS = (
    "AUC (source)", "AUC (target)", "pAUC",
    "precision (source)", "precision (target)", "recall (source)", "recall (target)",
    "F1 score (source)", "F1 score (target)",
)  # fmt: skip


@dataclass(frozen=True)
class CellResult:
    """Metrics of one machine, section and domain.

    Attributes:
        domain: Domain; empty for both together.
        normal: Number of normal clips.
        anomalous: Number of anomalous clips.
        values: Values in the order of the columns; None without decisions or with one class only.
    """

    machine: str
    section: str
    domain: str
    normal: int
    anomalous: int
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class SubmissionMetrics:
    """Metrics of a whole submission.

    Attributes:
        cells: Cells by machine, domain and section, in the order of the official evaluators.
        left_out: Sentences about cells without both classes.
        columns: Names of the values of each cell.
        scored: Number of leading columns whose harmonic mean is the official score.
    """

    cells: tuple[CellResult, ...]
    left_out: tuple[str, ...]
    columns: tuple[str, ...] = COLUMNS
    scored: int = 2

    @property
    def machines(self) -> list[str]:
        """Machine types in the order of the table."""
        return list(dict.fromkeys(c.machine for c in self.cells))

    def of(self, machine: str) -> list[CellResult]:
        """Return the cells of a machine."""
        return [c for c in self.cells if c.machine == machine]

    def harmonic(self, machine: str | None = None) -> float:
        """Return the official score: the harmonic mean of AUC and pAUC over all cells, or those of a machine.

        Raises:
            ValueError: There is no cell.
        """
        cells = self.cells if machine is None else self.of(machine)
        return harmonic_mean([v for c in cells for v in c.values[: self.scored] if v is not None])


def measure(submission: Sequence[ScoredCell]) -> SubmissionMetrics:
    """Compute metrics of every cell that has both classes, as the evaluators of 2020 and 2021 do."""
    cells: list[CellResult] = []
    left_out: list[str] = []
    for scored in sorted(submission, key=lambda c: (c.machine, c.domain, c.section)):
        pair = scored.cell()
        if pair is None:
            found = "anomalous" if any(scored.labels.values()) else "normal"
            where = f"{scored.machine} section {scored.section} {scored.domain}"
            left_out.append(f"{where}: has only {found} clips, so that no AUC is defined")
            continue
        values = (auc(pair.normal, pair.anomalous), pauc(pair.normal, pair.anomalous), *_decided(scored))
        sizes = len(pair.normal), len(pair.anomalous)
        cells.append(CellResult(scored.machine, scored.section, scored.domain, *sizes, values))
    return SubmissionMetrics(tuple(cells), tuple(left_out))


def measure_shared(submission: Sequence[ScoredCell]) -> SubmissionMetrics:
    """Compute metrics of every section that has both classes, as the evaluators of 2022 and later do."""
    sections: dict[tuple[str, str], dict[str, ScoredCell]] = defaultdict(dict)
    for scored in sorted(submission, key=lambda c: (c.machine, c.section)):
        sections[scored.machine, scored.section][scored.domain] = scored
    cells: list[CellResult] = []
    left_out: list[str] = []
    for (machine, section), domains in sections.items():
        normal = {d: _of_class(domains[d], anomalous=False) if d in domains else [] for d in DOMAINS}
        anomalous = [s for scored in domains.values() for s in _of_class(scored, anomalous=True)]
        together = [s for d in DOMAINS for s in normal[d]]
        where = f"{machine} section {section}"
        if not together or not anomalous:
            found = "normal" if together else "anomalous"
            left_out.append(f"{where}: has only {found} clips, so that no AUC is defined")
            continue
        left_out += [f"{where} {d}: has no normal clips, so that no AUC is defined" for d in DOMAINS if not normal[d]]
        calls = [_decided(domains[d]) if d in domains else (None, None, None) for d in DOMAINS]
        values = (
            *(auc(np.array(normal[d]), np.array(anomalous)) if normal[d] else None for d in DOMAINS),
            pauc(np.array(together), np.array(anomalous)),
            *(one[i] for i in range(3) for one in calls),
        )
        cells.append(CellResult(machine, section, "", len(together), len(anomalous), values))
    return SubmissionMetrics(tuple(cells), tuple(left_out), SHARED_COLUMNS, scored=3)


def _of_class(scored: ScoredCell, *, anomalous: bool) -> list[float]:
    return [s for name, s in sorted(scored.scores.items()) if scored.labels[name] is anomalous]


def _decided(scored: ScoredCell) -> tuple[float | None, float | None, float | None]:
    """Return precision, recall and F1 of the decisions of a cell; None where it has none."""
    calls = scored.decisions
    if calls is None:
        return None, None, None
    got = decision_metrics(
        np.array([calls[n] for n, a in scored.labels.items() if not a], dtype=bool),
        np.array([calls[n] for n, a in scored.labels.items() if a], dtype=bool),
    )
    return got.precision, got.recall, got.f1


def means(cells: Sequence[CellResult]) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Return the arithmetic and the harmonic mean of each column; None for an empty column."""
    known = [[v for v in column if v is not None] for column in zip(*(c.values for c in cells), strict=True)]
    return (
        tuple(float(np.mean(v)) if v else None for v in known),
        tuple(harmonic_mean(v) if v else None for v in known),
    )


def to_csv(result: SubmissionMetrics) -> str:
    """Return the text of an official result.csv."""
    by_domain = any(c.domain for c in result.cells)
    blank = [""] if by_domain else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for machine in result.machines:
        cells = result.of(machine)
        writer.writerow([machine])
        writer.writerow(["section", *(["domain"] if by_domain else []), *result.columns])
        for cell in cells:
            writer.writerow([cell.section, *([cell.domain] if by_domain else []), *_texts(cell.values)])
        arithmetic, harmonic = means(cells)
        writer.writerow(["arithmetic mean", *blank, *_texts(arithmetic)])
        writer.writerow(["harmonic mean", *blank, *_texts(harmonic)])
        writer.writerow([])
    writer.writerow(["", *blank, *result.columns])
    arithmetic, harmonic = means(result.cells)
    where = "all machine types, sections, and domains"
    writer.writerow([f"arithmetic mean over {where}", *blank, *_texts(arithmetic)])
    writer.writerow([f"harmonic mean over {where}", *blank, *_texts(harmonic)])
    writer.writerow([])
    return out.getvalue()


def _texts(values: Sequence[float | None]) -> list[str]:
    return ["" if v is None else repr(v) for v in values]


def paired_cells(a: Sequence[ScoredCell], b: Sequence[ScoredCell]) -> tuple[list[Cell], list[Cell]]:
    """Return the scores of two systems on the same clips, for `paired_difference`; cells of one class are left out.

    Raises:
        DataError: The systems did not score the same clips, or no cell has both classes.
    """
    first, second = ({(c.machine, c.section, c.domain): c for c in cells} for cells in (a, b))
    pairs: tuple[list[Cell], list[Cell]] = ([], [])
    for key in sorted({*first, *second}):
        one, other = first.get(key), second.get(key)
        if one is None or other is None or dict(one.labels) != dict(other.labels):
            raise DataError(
                f"{key[0]} section {key[1]} {key[2]}: the two systems did not score the same clips",
                "A paired difference needs the same clips with the same labels.",
            )
        mine, theirs = one.cell(), other.cell()
        if mine is not None and theirs is not None:
            pairs[0].append(mine)
            pairs[1].append(theirs)
    if not pairs[0]:
        raise DataError("no cell has both classes", "A difference needs normal and anomalous clips.")
    return pairs
