"""asd-trainer metrics: official metrics of the anomaly scores of any system."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_agent.commands.console import print_json
from asd_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from asd_trainer.evaluation.metrics.bootstrap import Interval
    from asd_trainer.evaluation.metrics.result import SubmissionMetrics
    from asd_trainer.evaluation.metrics.submission import Submission

_PROTOCOLS = ("auto", "2021", "2022")


def metrics(
    scores: Annotated[Path, typer.Argument(help="Folder of anomaly_score_….csv and decision_result_….csv files.")],
    truth: Annotated[
        Path | None,
        typer.Option(help="Folder of ground_truth_….csv files, or of labelled clips. Default: labels in clip names."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="2021: AUC and pAUC within a domain. 2022 (and later years): normal clips of a domain against all "
            "anomalies, one pAUC for a section. auto: 2021 if each file holds one domain, otherwise 2022."
        ),
    ] = "auto",
    against: Annotated[
        Path | None, typer.Option(help="Folder of another system's scores of the same clips: paired difference.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a result.csv in the official form.")] = None,
    draws: Annotated[
        int, typer.Option(help="Bootstrap resamples for the intervals; 0 for no intervals.", min=0)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Compute AUC, pAUC (p = 0.1), precision, recall and F1 as the official evaluators of DCASE Task 2 do.

    Intervals are 95 %, from a bootstrap over clips. A section with one class has no AUC; it is left out and named.
    Exit code 1 if a file is missing or wrong; the others are still measured.

    Example: asd-trainer metrics runs/quick/seed-0/fan/scores --out result.csv

    Example: asd-trainer metrics team_scores --truth dcase2021_task2_evaluator/ground_truth_data

    Example: asd-trainer metrics mine --against baseline --json
    """
    from asd_agent.whole_files import whole_file
    from asd_trainer.evaluation.metrics.ground_truth import GroundTruth, read_truth
    from asd_trainer.evaluation.metrics.result import measure, measure_shared, to_csv
    from asd_trainer.evaluation.metrics.submission import read_all

    if protocol not in _PROTOCOLS:
        raise UsageError(f"--protocol {protocol!r} is not one of {', '.join(_PROTOCOLS)}")
    known = read_truth(truth) if truth else GroundTruth()
    submission = read_all(scores, known)
    within_domain = protocol == "2021" or (protocol == "auto" and submission.within_domain)
    result = (measure if within_domain else measure_shared)(submission.cells)
    problems = [str(p) for p in submission.problems]
    for line in problems:
        sys.stderr.write(f"asd-trainer: {line}\n")
    if not result.cells:
        raise DataError(
            f"{scores}: has nothing to measure ({'; '.join(result.left_out) or 'no file could be read'})",
            "A cell needs scores of normal and of anomalous clips.",
        )
    if against is not None and not within_domain:
        raise UsageError("--against compares by the protocol of 2021", "Add --protocol 2021.")
    intervals = _intervals(submission, draws, seed) if within_domain and draws else {}
    difference = _difference(submission, read_all(against, known), max(draws, 1), seed) if against else None
    if out is not None:
        with whole_file(out) as partial:
            partial.write_text(to_csv(result), encoding="utf-8")
    if json:
        print_json(_document(result, within_domain, intervals, difference, problems))
    else:
        _print(result, intervals, difference, within_domain)
    if problems:
        raise typer.Exit(1)


Key = tuple[str, str, str]
_ALL: Key = ("", "", "")


def _intervals(submission: Submission, draws: int, seed: int) -> dict[Key, tuple[Interval, ...]]:
    """Return intervals of AUC and pAUC of each cell, and of the harmonic mean over all of them."""
    from asd_trainer.evaluation.metrics.bootstrap import cell_intervals, mean_interval

    cells = {(c.machine, c.section, c.domain): pair for c in submission.cells if (pair := c.cell()) is not None}
    found: dict[Key, tuple[Interval, ...]] = {k: cell_intervals(c, draws, seed) for k, c in cells.items()}
    return found | {_ALL: (mean_interval(list(cells.values()), draws, seed),)}


def _difference(mine: Submission, other: Submission, draws: int, seed: int) -> Interval:
    from asd_trainer.evaluation.metrics.bootstrap import paired_difference
    from asd_trainer.evaluation.metrics.result import paired_cells

    if other.problems:
        raise other.problems[0]
    return paired_difference(*paired_cells(mine.cells, other.cells), draws, seed)


def _document(
    result: SubmissionMetrics,
    within_domain: bool,
    intervals: dict[Key, tuple[Interval, ...]],
    difference: Interval | None,
    problems: Sequence[str],
) -> dict[str, Any]:
    from asd_trainer.evaluation.metrics.result import means

    def named(values: Sequence[float | None]) -> dict[str, float | None]:
        return dict(zip(result.columns, values, strict=True))

    def both(rows: Sequence[Any]) -> dict[str, Any]:
        arithmetic, harmonic = means(rows)
        return {"arithmetic_mean": named(arithmetic), "harmonic_mean": named(harmonic)}

    cells = []
    for c in result.cells:
        row = {"machine": c.machine, "section": c.section, "domain": c.domain or None}
        sizes = {"normal": c.normal, "anomalous": c.anomalous}
        bounds = zip(("AUC", "pAUC"), intervals.get((c.machine, c.section, c.domain), ()), strict=False)
        cells.append({**row, **sizes, **named(c.values), "interval": {k: [i.low, i.high] for k, i in bounds} or None})
    over_all = intervals.get(_ALL)
    return {
        "schema": 1,
        "protocol": "2021" if within_domain else "2022",
        "official_score": result.harmonic(),
        "interval": [over_all[0].low, over_all[0].high] if over_all else None,
        "difference": {"value": difference.value, "interval": [difference.low, difference.high]}
        if difference
        else None,
        "all": both(result.cells),
        "machines": {m: {"official_score": result.harmonic(m), **both(result.of(m))} for m in result.machines},
        "cells": cells,
        "left_out": list(result.left_out),
        "problems": list(problems),
    }


def _print(
    result: SubmissionMetrics,
    intervals: dict[Key, tuple[Interval, ...]],
    difference: Interval | None,
    within_domain: bool,
) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(_table(result, intervals))
    score, over_all = result.harmonic(), intervals.get(_ALL)
    cells = "cells" if within_domain else "sections"
    bounds = f" ({100 * over_all[0].low:.2f} to {100 * over_all[0].high:.2f})" if over_all else ""
    console.print(
        f"official score: {100 * score:.2f} %{bounds}, harmonic mean of {', '.join(result.columns[: result.scored])} "
        f"over {len(result.cells)} {cells}"
    )
    if difference:
        beyond = "" if difference.low <= 0 <= difference.high else ", more than chance"
        console.print(
            f"difference to the other system: {100 * difference.value:+.2f} "
            f"({100 * difference.low:+.2f} to {100 * difference.high:+.2f}) points{beyond}"
        )
    for line in result.left_out:
        sys.stderr.write(f"left out: {line}\n")


def _table(result: SubmissionMetrics, intervals: dict[Key, tuple[Interval, ...]]) -> Table:
    from rich.table import Table

    from asd_trainer.evaluation.metrics.result import means

    by_domain = any(c.domain for c in result.cells)
    table = Table("machine", "section", *(["domain"] if by_domain else []), "clips")
    for column in result.columns:
        table.add_column(f"{column} %", justify="right")
    for machine in result.machines:
        rows = result.of(machine)
        for c in rows:
            bounds = intervals.get((c.machine, c.section, c.domain), ())
            shown = [_percent(v, bounds[i] if i < len(bounds) else None) for i, v in enumerate(c.values)]
            where = [c.machine, c.section, *([c.domain] if by_domain else [])]
            table.add_row(*where, f"{c.normal}+{c.anomalous}", *shown)
        for name, values in zip(("arithmetic mean", "harmonic mean"), means(rows), strict=True):
            blank = [""] * (2 if by_domain else 1)
            table.add_row(machine, name, *blank, *(_percent(v) for v in values), style="dim")
        table.add_section()
    for name, values in zip(("arithmetic mean", "harmonic mean"), means(result.cells), strict=True):
        table.add_row("all", name, *([""] * (2 if by_domain else 1)), *(_percent(v) for v in values), style="bold")
    return table


def _percent(value: float | None, bounds: Interval | None = None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f}" + (f" ({100 * bounds.low:.0f}–{100 * bounds.high:.0f})" if bounds else "")
