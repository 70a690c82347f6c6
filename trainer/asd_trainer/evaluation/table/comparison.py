"""Comparison of recipes: one row each, one column for each machine and domain, in the form of Table 1 of the paper.

A value is the harmonic mean of AUC and pAUC over the sections of a column, in per cent. Intervals come from resampling
clips and seeds, the same ones for every recipe, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from asd_agent.errors import DataError, UsageError
from asd_trainer.evaluation.metrics.bootstrap import harmonic_means, interval
from asd_trainer.evaluation.metrics.roc import harmonic_mean
from asd_trainer.evaluation.score import Evaluation
from asd_trainer.evaluation.table.paper import TABLE_1, part_of
from asd_trainer.evaluation.table.values import (
    ComparisonTable,
    PaperValues,
    TableColumn,
    TableDifference,
    TableEntry,
    TableRow,
    TableValue,
)
from asd_trainer.jobs.runs import data_names

Array = npt.NDArray[np.float64]
Key = tuple[str, str, str, str]
"""Data set, machine, domain, section."""
_SEED = 0
"""Seed of the resampling of seeds: a choice, the same for every recipe so that differences are paired."""

_UPPER = 0.975
"""Probability below the upper limit of a 95 % interval."""


@dataclass(frozen=True)
class _Cell:
    values: tuple[float, float]
    transductive: tuple[float, float]
    drawn: Array
    clips: str
    training_clips: int
    same_ranking: bool


Cells = dict[Key, _Cell]
Seeds = dict[int, Cells]


def check_reference(reference: str | None, recipes: Sequence[str]) -> str:
    """Return the recipe to compare with; the first where none is named.

    Raises:
        UsageError: The reference is not one of the recipes.
    """
    if reference is not None and reference not in recipes:
        raise UsageError(f"--reference {reference!r} is not one of the recipes", f"Choose from: {', '.join(recipes)}.")
    return reference or recipes[0]


def make_table(
    evaluations: Sequence[Evaluation],
    reference: str | None = None,
    *,
    order: Sequence[str] | None = None,
    left_out: Sequence[str] = (),
) -> ComparisonTable:
    """Compare evaluations.

    Args:
        evaluations: Evaluations of any recipes, seeds, machines and data sets.
        reference: Recipe to compare with; the first where none is named.
        order: Order of the recipes; by name where it is not given.
        left_out: Sentences about what is already known to be left out.

    Raises:
        DataError: There are no evaluations.
        UsageError: The reference is not one of the recipes.
    """
    if not evaluations:
        raise DataError(
            "nothing was evaluated, so that there is nothing to compare",
            "Add labelled test clips; see `asd-trainer inspect`.",
        )
    recipes = list(order or sorted({e.run.recipe for e in evaluations}))
    against = check_reference(reference, recipes)
    names = data_names([e.run.data for e in evaluations])
    found: dict[str, Seeds] = {r: {} for r in recipes}
    notes = dict.fromkeys(left_out)
    for one in evaluations:
        found[one.run.recipe].setdefault(one.run.seed, {}).update(_cells(one, names[one.run.data.resolve()]))
        notes.update(dict.fromkeys(f"{names[one.run.data.resolve()]}: {text}" for text in one.document["left_out"]))
    keys = sorted({k for seeds in found.values() for cells in seeds.values() for k in cells})
    columns = list(dict.fromkeys(k[:3] for k in keys))
    rows = []
    for recipe in recipes:
        mine, other = found[recipe], None if recipe == against else found[against]
        entries = tuple(_entry(mine, other, [k for k in keys if k[:3] == column]) for column in columns)
        labelled = {s for e in evaluations if e.run.recipe == recipe for s in e.document.get("chosen_by_labels", ())}
        rows.append(TableRow(recipe, entries, _entry(mine, other, keys), tuple(sorted(labelled))))
        notes.update(dict.fromkeys(_incomparable(recipe, mine, keys)))
    return ComparisonTable(
        against,
        tuple(sorted({s for seeds in found.values() for s in seeds})),
        tuple(TableColumn(*c, tuple(k[3] for k in keys if k[:3] == c)) for c in columns),
        tuple(rows),
        _paper(found, columns),
        tuple(notes),
    )


def _cells(one: Evaluation, data: str) -> Cells:
    return {
        (data, one.run.machine, c["domain"], c["section"]): _Cell(
            (c["auc"][0], c["pauc"][0]),
            (c["auc_transductive"], c["pauc_transductive"]),
            one.drawn[f"{c['section']}/{c['domain']}"],
            c["clips"],
            c["training_clips"],
            c.get("transductive_is_streaming", False),
        )
        for c in one.document["cells"]
    }


def _entry(mine: Seeds, other: Seeds | None, keys: Sequence[Key]) -> TableEntry:
    """Return the entry over the keys that the recipe has at all, from the seeds that have all of these."""
    has = [k for k in keys if any(k in cells for cells in mine.values())]
    seeds = _whole(mine, has)
    value = _value(mine, seeds, has) if has and seeds else None
    difference = None
    if other is not None:
        both = [k for k in has if _same_clips(mine, other, k)]
        common = sorted(set(_whole(mine, both)) & set(_whole(other, both)))
        difference = _difference(mine, other, common, both) if both and common else None
    return TableEntry(value, difference)


def _whole(seeds: Seeds, keys: Sequence[Key]) -> list[int]:
    return sorted(s for s, cells in seeds.items() if all(k in cells for k in keys))


def _same_clips(mine: Seeds, other: Seeds, key: Key) -> bool:
    digests = {cells[key].clips for seeds in (mine, other) for cells in seeds.values() if key in cells}
    return len(digests) == 1 and any(key in cells for cells in other.values())


def _value(recipe: Seeds, seeds: Sequence[int], keys: Sequence[Key]) -> TableValue:
    values = [100 * harmonic_mean([v for k in keys for v in recipe[s][k].values]) for s in seeds]
    paper = [100 * harmonic_mean([v for k in keys for v in recipe[s][k].transductive]) for s in seeds]
    apart = [[100 * harmonic_mean([recipe[s][k].values[i] for k in keys]) for s in seeds] for i in range(2)]
    found = interval(float(np.mean(values)), _over_seeds(_drawn(recipe, seeds, keys)))
    return TableValue(
        found.value,
        float(np.std(values, ddof=1)) if len(values) > 1 else None,
        found.low,
        found.high,
        float(np.mean(paper)),
        dict(zip(seeds, values, strict=True)),
        float(np.mean(apart[0])),
        float(np.mean(apart[1])),
        all(recipe[s][k].same_ranking for s in seeds for k in keys),
    )


def _difference(mine: Seeds, other: Seeds, seeds: Sequence[int], keys: Sequence[Key]) -> TableDifference:
    value = _value(mine, seeds, keys).value - _value(other, seeds, keys).value
    found = interval(value, _over_seeds(_drawn(mine, seeds, keys) - _drawn(other, seeds, keys)))
    verdict: Literal["better", "worse", "undecided"] = (
        "better" if found.low > 0 else "worse" if found.high < 0 else "undecided"
    )
    return TableDifference(value, found.low, found.high, verdict)


def _drawn(recipe: Seeds, seeds: Sequence[int], keys: Sequence[Key]) -> Array:
    """Return harmonic means under resampling of the clips, in per cent, shape (seeds, draws)."""
    return np.stack([100 * harmonic_means(np.concatenate([recipe[seed][k].drawn for k in keys])) for seed in seeds])


def _over_seeds(drawn: Array) -> Array:
    """Return means over resampled seeds, shape (draws,); calls with equally many seeds draw the same ones.

    Resampling few seeds gives too narrow an interval: its variance lacks the factor n/(n - 1), and its tails are those
    of a normal distribution. The deviation from the mean over all seeds is therefore scaled by √(n/(n - 1)) and by the
    quotient of the quantiles of Student's t with n - 1 degrees of freedom and of the normal distribution.
    """
    seeds, draws = drawn.shape
    whole: Array = drawn.mean(axis=0)
    if seeds == 1:
        return whole
    picked = np.random.default_rng(_SEED).integers(seeds, size=(seeds, draws))
    deviation = np.take_along_axis(drawn, picked, axis=0).mean(axis=0) - whole
    factor = np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, _UPPER) / ndtri(_UPPER)
    return np.asarray(whole + factor * deviation, dtype=np.float64)


def _incomparable(recipe: str, mine: Seeds, keys: Sequence[Key]) -> list[str]:
    has = [k for k in keys if any(k in cells for cells in mine.values())]
    notes = []
    if len(has) < len(keys):
        notes.append(f"{recipe}: has {len(has)} of the {len(keys)} cells; its overall mean is over these")
    if len(_whole(mine, has)) < len(mine):
        notes.append(f"{recipe}: only seeds {', '.join(map(str, _whole(mine, has))) or 'none'} have all its cells")
    return notes


def _paper(found: Mapping[str, Seeds], columns: Sequence[tuple[str, str, str]]) -> tuple[PaperValues, ...]:
    """Return the rows of the paper for each data set that is the one of the paper."""
    clips: dict[str, dict[tuple[str, str], dict[str, int]]] = {}
    for cells in (c for seeds in found.values() for c in seeds.values()):
        for (data, machine, domain, section), cell in cells.items():
            clips.setdefault(data, {}).setdefault((machine, domain), {})[section] = cell.training_clips
    rows = []
    for data, of_data in clips.items():
        part = part_of(of_data)
        for row in (r for r in TABLE_1 if r.part == part):
            values = [row.values[m, d] if name == data else None for name, m, d in columns]
            whole = row.overall([(m, d) for _, m, d in columns]) if None not in values else None
            rows.append(PaperValues(row.part, row.method, tuple(values), whole, row.printed))
    return tuple(rows)
