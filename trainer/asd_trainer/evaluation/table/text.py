"""Text of a comparison: for a terminal of any width, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rich.console import Console
from rich.table import Table

from asd_agent.alarm.rate import a_day
from asd_trainer.evaluation.score import Evaluation
from asd_trainer.evaluation.table.values import ComparisonTable, TableDifference, TableEntry

_NAME_WIDTH, _COLUMN_WIDTH = 30, 16
_MARKS = {"better": " ↑", "worse": " ↓", "undecided": ""}
_OVERALL = "all"
_BY_LABELS = " ‡"
LEAST_SEEDS = 5
"""Seeds for a useful interval: its factor for few seeds is 1.6 with 5, 2.7 with 3 and 9.2 with 2."""


def print_table(table: ComparisonTable, console: Console) -> None:
    """Print a comparison, split into several parts where the terminal is narrow."""
    per_part = max(1, (console.width - _NAME_WIDTH) // _COLUMN_WIDTH)
    titles = _titles(table, "\n")
    lines = list(_lines(table, "\n"))
    for start in range(0, len(titles), per_part):
        part = slice(start, start + per_part)
        shown = Table("recipe", *titles[part], show_lines=True)
        for column in shown.columns[1:]:
            column.justify = "right"
        for name, texts in lines:
            shown.add_row(name, *texts[part])
        console.print(shown)
    console.print(legend(table), highlight=False)
    for text in table.left_out:
        console.print(f"left out: {text}", highlight=False, markup=False)


def markdown(table: ComparisonTable) -> str:
    """Return a comparison as a Markdown document."""
    titles = ["recipe", *_titles(table, " ")]
    rows = [titles, ["---", *["---:"] * (len(titles) - 1)], *([name, *texts] for name, texts in _lines(table, "<br>"))]
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    left_out = "".join(f"\n- left out: {text}" for text in table.left_out)
    return f"{body}\n\n{legend(table)}\n{left_out}".rstrip() + "\n"


@dataclass(frozen=True)
class TextRow:
    """Text of a row: each cell with its verdict against the reference, empty where there is none."""

    name: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TextTable:
    """Text of a comparison."""

    titles: tuple[str, ...]
    rows: tuple[TextRow, ...]


def table_rows(table: ComparisonTable) -> TextTable:
    """Return the text of a comparison with its verdicts, for a page."""
    verdicts = {
        row.recipe: [e.difference.verdict if e.difference else "" for e in (*row.entries, row.overall)]
        for row in table.rows
    }
    rows = []
    for name, texts in _lines(table, "\n"):
        marks = verdicts.get(name, [])
        rows.append(TextRow(name, tuple(zip_longest(texts, marks[: len(texts)], fillvalue=""))))
    return TextTable(("recipe", *_titles(table, "\n")), tuple(rows))


def cells_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return a table of every cell of every run, with intervals."""
    table = Table("recipe", "machine", "section", "domain", "clips", "AUC %", "pAUC %", "false alarms %", "found %")
    table.add_column("half, 90 % found at, a day")
    for column in table.columns[4:]:
        column.justify = "right"
    for one in evaluations:
        for c in one.document["cells"]:
            table.add_row(
                f"{one.run.recipe} seed {one.run.seed}",
                one.run.machine,
                c["section"],
                c["domain"],
                f"{c['normal']}+{c['anomalous']}",
                _triple(c["auc"]),
                _triple(c["pauc"]),
                "" if c["false_alarm_rate"] is None else f"{100 * c['false_alarm_rate']:.0f}",
                "" if c["recall"] is None else f"{100 * c['recall']:.0f}",
                _rates(c),
            )
    return table


def _rates(cell: Mapping[str, Any]) -> str:
    """Return the false alarms a day at which half and 90 % of the faults are found; empty before they were measured."""
    rates = [cell.get(key) for key in ("half_found_per_day", "most_found_per_day")]
    return ", ".join(a_day(rate) for rate in rates if rate is not None)


def _lines(table: ComparisonTable, newline: str) -> Iterator[tuple[str, list[str]]]:
    for row in table.rows:
        texts = [_text(e, newline) for e in (*row.entries, row.overall)]
        yield (
            row.recipe + (_BY_LABELS if row.chosen_by_labels else ""),
            [*texts, *([_against(row.overall.difference, newline)] if _several(table) else [])],
        )
    for paper in table.paper:
        values = ["" if v is None else f"{v:.2f}" for v in (*paper.values, paper.overall)]
        yield f"paper, {paper.part}: {paper.method}", [*values, *([""] if _several(table) else [])]


def _text(entry: TableEntry, newline: str) -> str:
    if entry.value is None:
        return ""
    v = entry.value
    spread = "" if v.spread is None else f" ± {v.spread:.1f}"
    mark = _MARKS[entry.difference.verdict] if entry.difference else ""
    transductive = "(=)" if v.transductive_is_streaming else f"({v.transductive:.1f})"
    apart = f"AUC {v.auc:.1f}{newline}pAUC {v.pauc:.1f}"
    return newline.join((f"{v.value:.1f}{spread}{mark}", f"{v.low:.0f}–{v.high:.0f}", apart, transductive))


def _against(difference: TableDifference | None, newline: str) -> str:
    if difference is None:
        return ""
    d = difference
    return newline.join((f"{d.value:+.1f}", f"{d.low:+.1f} to {d.high:+.1f}", d.verdict))


def _titles(table: ComparisonTable, newline: str) -> list[str]:
    data_sets = len({c.data for c in table.columns})
    parts = [[*([c.data] if data_sets > 1 else []), c.machine, c.domain] for c in table.columns]
    last = [f"against{newline}{table.reference}"] if _several(table) else []
    return [*(newline.join(p) for p in parts), _OVERALL, *last]


def _several(table: ComparisonTable) -> bool:
    return len(table.rows) > 1


def legend(table: ComparisonTable) -> str:
    """Return the legend of the table."""
    text = "Harmonic mean of AUC and pAUC (p = 0.1) over sections, in %, of the streaming scores"
    if len(table.seeds) > 1:
        text += f": mean ± standard deviation over seeds {', '.join(map(str, table.seeds))}"
    text += "; 95 % interval over recordings"
    text += " and seeds" if len(table.seeds) > 1 else ", without the variation between seeds"
    text += "; AUC and pAUC apart; (transductive)."
    if any(e.value and e.value.transductive_is_streaming for row in table.rows for e in (*row.entries, row.overall)):
        text += " (=): one member, whose transductive ranking is the streaming one by construction."
    if 1 < len(table.seeds) < LEAST_SEEDS:
        text += f" With fewer than {LEAST_SEEDS} seeds the interval is wide because the spread is hardly known."
    if _several(table):
        text += (
            f" ↑ ↓ and the last column: paired difference against {table.reference}; a verdict only where its 95 % "
            "interval excludes 0."
        )
    if any(row.chosen_by_labels for row in table.rows):
        sections = sorted({s for row in table.rows for s in row.chosen_by_labels})
        text += (
            f"{_BY_LABELS}: members chosen by the labelled anomalies of sections {', '.join(sections)}, on which "
            "the row is flattered."
        )
    if table.paper:
        text += " The paper's overall values are the harmonic means of its own columns."
    return text


def _triple(found: Sequence[float]) -> str:
    value, low, high = (100 * v for v in found)
    return f"{value:.1f} ({low:.0f}–{high:.0f})"
