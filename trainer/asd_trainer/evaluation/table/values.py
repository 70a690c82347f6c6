"""Values of a comparison of recipes: cells, rows and columns of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class TableValue:
    """Measure of a recipe in per cent.

    Attributes:
        value: Mean over seeds, of streaming scores.
        spread: Standard deviation over seeds; None with one seed.
        low: Lower limit of the 95 % interval.
        high: Upper limit of the 95 % interval.
        transductive: Mean over seeds, of scores standardised over the test clips.
        seeds: Value of each seed.
        auc: Harmonic mean of the AUCs alone, mean over seeds.
        pauc: Harmonic mean of the pAUCs alone, mean over seeds.
        transductive_is_streaming: True where both rankings are the same by construction in every cell.
    """

    value: float
    spread: float | None
    low: float
    high: float
    transductive: float
    seeds: Mapping[int, float]
    auc: float
    pauc: float
    transductive_is_streaming: bool


@dataclass(frozen=True)
class TableDifference:
    """Difference of a row to the reference row, over the clips and seeds that both have.

    Attributes:
        value: Percentage points, with their 95 % interval `low` to `high`.
        verdict: `better` or `worse` only where the interval excludes 0.
    """

    value: float
    low: float
    high: float
    verdict: Literal["better", "worse", "undecided"]


@dataclass(frozen=True)
class TableEntry:
    """Content of a table cell; None where a value does not exist."""

    value: TableValue | None
    difference: TableDifference | None


@dataclass(frozen=True)
class TableColumn:
    """One machine and domain.

    Attributes:
        data: Name of the data set.
        sections: Sections that were scored.
    """

    data: str
    machine: str
    domain: str
    sections: tuple[str, ...]


@dataclass(frozen=True)
class TableRow:
    """One recipe.

    Attributes:
        chosen_by_labels: Sections whose labelled anomalies chose among its members; none by default.
        entries: One for each column.
        overall: Value over all cells that the recipe has.
    """

    recipe: str
    entries: tuple[TableEntry, ...]
    overall: TableEntry
    chosen_by_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperValues:
    """Row of Table 1 of the paper under the columns of this table.

    Attributes:
        values: One for each column; None where the paper has none.
        overall: Harmonic mean of the values; None unless every column has one.
        printed: Value that the paper prints for all seven machines.
    """

    part: str
    method: str
    values: tuple[float | None, ...]
    overall: float | None
    printed: float


@dataclass(frozen=True)
class ComparisonTable:
    """Comparison of several recipes.

    Attributes:
        reference: Recipe that the others are compared with.
        seeds: All seeds that occur.
        left_out: Sentences about what is not in the table or not comparable.
    """

    reference: str
    seeds: tuple[int, ...]
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    paper: tuple[PaperValues, ...]
    left_out: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the table for JSON."""
        return {"schema": 1, "unit": "%", **asdict(self)}
