"""Table of a submission in the form of the official evaluators' result.csv: a block a machine, means below it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_trainer.metrics.roc import auc, decided, harmonic_mean, pauc
from asd_trainer.metrics.submission import ScoredCell

COLUMNS = ("AUC", "pAUC", "precision", "recall", "F1 score")


@dataclass(frozen=True)
class CellResult:
    """Measures of one machine, section and domain.

    Attributes:
        values: In the order of `COLUMNS`; the last three are None without decisions.
    """

    machine: str
    section: str
    domain: str
    normal: int
    anomalous: int
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Result:
    """Measures of a whole submission.

    Attributes:
        cells: By machine, domain and section, as the official evaluators list them.
        left_out: Cells without both classes, in words.
    """

    cells: tuple[CellResult, ...]
    left_out: tuple[str, ...]

    @property
    def machines(self) -> list[str]:
        """Machine types in the order of the table."""
        return list(dict.fromkeys(c.machine for c in self.cells))

    def of(self, machine: str) -> list[CellResult]:
        """The cells of a machine."""
        return [c for c in self.cells if c.machine == machine]

    def harmonic(self) -> float:
        """The official score: harmonic mean over AUC and pAUC of all cells."""
        return harmonic_mean([v for c in self.cells for v in c.values[:2] if v is not None])


def measure(submission: Sequence[ScoredCell]) -> Result:
    """Measure every cell that holds both classes."""
    cells: list[CellResult] = []
    left_out: list[str] = []
    for scored in sorted(submission, key=lambda c: (c.machine, c.domain, c.section)):
        pair = scored.cell()
        if pair is None:
            found = "anomalous" if any(scored.labels.values()) else "normal"
            where = f"{scored.machine} section {scored.section} {scored.domain}"
            left_out.append(f"{where}: holds {found} clips alone, so that no AUC is defined")
            continue
        values: list[float | None] = [auc(pair.normal, pair.anomalous), pauc(pair.normal, pair.anomalous)]
        if scored.decisions is None:
            values += [None, None, None]
        else:
            calls = scored.decisions
            got = decided(
                np.array([calls[n] for n, a in scored.labels.items() if not a]),
                np.array([calls[n] for n, a in scored.labels.items() if a]),
            )
            values += [got.precision, got.recall, got.f1]
        cells.append(
            CellResult(
                scored.machine, scored.section, scored.domain, len(pair.normal), len(pair.anomalous), tuple(values)
            )
        )
    return Result(tuple(cells), tuple(left_out))


def means(cells: Sequence[CellResult]) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Arithmetic and harmonic mean of each column; None where a column is not there."""
    columns = [[c.values[i] for c in cells] for i in range(len(COLUMNS))]
    told = [[v for v in column if v is not None] for column in columns]
    return (
        tuple(float(np.mean(v)) if v else None for v in told),
        tuple(harmonic_mean(v) if v else None for v in told),
    )


def to_csv(result: Result) -> str:
    """The text of an official result.csv."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for machine in result.machines:
        cells = result.of(machine)
        writer.writerow([machine])
        writer.writerow(["section", "domain", *COLUMNS])
        for cell in cells:
            writer.writerow([cell.section, cell.domain, *_texts(cell.values)])
        arithmetic, harmonic = means(cells)
        writer.writerow(["arithmetic mean", "", *_texts(arithmetic)])
        writer.writerow(["harmonic mean", "", *_texts(harmonic)])
        writer.writerow([])
    writer.writerow(["", "", *COLUMNS])
    arithmetic, harmonic = means(result.cells)
    writer.writerow(["arithmetic mean over all machine types, sections, and domains", "", *_texts(arithmetic)])
    writer.writerow(["harmonic mean over all machine types, sections, and domains", "", *_texts(harmonic)])
    writer.writerow([])
    return out.getvalue()


def _texts(values: Sequence[float | None]) -> list[str]:
    return ["" if v is None else repr(v) for v in values]
