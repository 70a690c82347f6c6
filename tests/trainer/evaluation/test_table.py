"""Comparison of recipes: the numbers of a cell, pairing, verdicts, and when the paper stands beside them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from asd_agent.errors import DataError, UsageError
from asd_trainer.evaluation.metrics.bootstrap import Cell, paired_difference, resampled
from asd_trainer.evaluation.metrics.roc import auc, harmonic_mean, pauc
from asd_trainer.evaluation.score import Evaluation
from asd_trainer.evaluation.table.comparison import ComparisonTable, make_table
from asd_trainer.evaluation.table.paper import MACHINES, TABLE_1, part_of
from asd_trainer.evaluation.table.text import markdown, print_table
from asd_trainer.jobs.runs import Run

SIZE = 60
DRAWS = 400


def scores(section: str, shift: float, noise: int = 0) -> Cell:
    """The same clips for every recipe; another shift tells anomalous ones apart better, another noise differs a bit."""
    base, own = np.random.default_rng([1, int(section)]), np.random.default_rng([2, noise])
    clips = base.normal(size=2 * SIZE) + 0.1 * own.normal(size=2 * SIZE)
    return Cell(clips[:SIZE], clips[SIZE:] + shift)


def evaluated(
    recipe: str,
    shift: float,
    *,
    seed: int = 0,
    noise: int = 0,
    machine: str = "fan",
    sections: Sequence[str] = ("00", "01"),
    domains: Sequence[str] = ("source",),
    data: str = "/data/mine",
    clips: str = "a",
    training: tuple[int, int] = (8, 3),
    left_out: Sequence[str] = (),
) -> Evaluation:
    cells, drawn = [], {}
    for domain in domains:
        for section in sections:
            cell = scores(section, shift, seed + noise)
            cells.append(
                {
                    "section": section,
                    "domain": domain,
                    "clips": f"{clips}{section}",
                    "training_clips": training[domain == "target"],
                    "auc": [auc(cell.normal, cell.anomalous), 0, 1],
                    "pauc": [pauc(cell.normal, cell.anomalous), 0, 1],
                    "auc_transductive": 0.5,
                    "pauc_transductive": 0.5,
                }
            )
            drawn[f"{section}/{domain}"] = np.stack(resampled(cell, DRAWS, np.random.default_rng(int(section))))
    run = Run(Path("runs"), recipe, seed, machine, Path(data), "", "")
    return Evaluation(run, {"cells": cells, "left_out": list(left_out)}, drawn)


def of_both(shift: float, seed: int) -> float:
    cells = [scores(s, shift, seed) for s in ("00", "01")]
    return 100 * harmonic_mean([f(c.normal, c.anomalous) for c in cells for f in (auc, pauc)])


def test_a_value_is_the_mean_over_seeds_of_the_harmonic_mean_over_sections():
    table = make_table([evaluated("a", 1.0, seed=s) for s in (0, 1, 2)])
    value = table.rows[0].entries[0].value
    assert value is not None
    each = [of_both(1.0, s) for s in (0, 1, 2)]
    assert list(value.seeds.values()) == pytest.approx(each)
    assert value.value == pytest.approx(np.mean(each))
    assert value.spread == pytest.approx(np.std(each, ddof=1))
    assert value.low < value.value < value.high
    assert value.transductive == pytest.approx(50.0)
    assert table.rows[0].overall.value == value
    assert table.rows[0].overall.difference is None


def test_one_seed_has_no_spread():
    value = make_table([evaluated("a", 1.0)]).rows[0].overall.value
    assert value is not None
    assert value.spread is None


def test_better_and_worse_are_said_only_where_the_interval_excludes_zero():
    runs = [evaluated(r, x, seed=s) for s in (0, 1) for r, x in (("a", 1.0), ("b", 1.6), ("c", 0.4))]
    runs += [evaluated("d", 1.0, seed=s, noise=50) for s in (0, 1)]
    table = make_table(runs, "a")
    found = {row.recipe: row.overall.difference for row in table.rows}
    assert found["a"] is None
    verdicts = {r: d.verdict for r, d in found.items() if d is not None}
    assert verdicts == {"b": "better", "c": "worse", "d": "undecided"}
    for difference in filter(None, found.values()):
        assert (difference.low <= 0 <= difference.high) == (difference.verdict == "undecided")


def test_differences_are_paired_and_agree_with_the_bootstrap_of_two_systems():
    table = make_table([evaluated("a", 1.0), evaluated("b", 1.3)])
    difference = table.rows[1].overall.difference
    assert difference is not None
    cells = [[scores(s, x) for s in ("00", "01")] for x in (1.3, 1.0)]
    expected = paired_difference(cells[0], cells[1], draws=4000)
    assert difference.value == pytest.approx(100 * expected.value)
    assert difference.low == pytest.approx(100 * expected.low, abs=1.0)
    assert difference.high == pytest.approx(100 * expected.high, abs=1.0)
    own = table.rows[1].overall.value
    assert own is not None
    assert difference.high - difference.low < own.high - own.low


def test_the_interval_over_few_seeds_is_that_of_students_t():
    """Clips that decide nothing: only seeds vary, and 2.776 s/√5 is half the interval of five of them."""
    runs = [evaluated("a", 1.0, seed=s) for s in range(5)]
    values = (0.5, 0.6, 0.62, 0.7, 0.75)
    for run, value in zip(runs, values, strict=True):
        for cell in run.document["cells"]:
            cell["auc"], cell["pauc"] = [value, value, value], [value, value, value]
        for drawn in run.drawn.values():
            drawn[:] = value
    found = make_table(runs).rows[0].overall.value
    assert found is not None
    half = 100 * 2.776 * np.std(values, ddof=1) / np.sqrt(5)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert found.value == pytest.approx(100 * np.mean(values))


def test_auc_and_pauc_are_shown_apart():
    table = make_table([evaluated("a", 1.0, seed=s) for s in (0, 1)])
    value = table.rows[0].entries[0].value
    assert value is not None
    cells = [[scores(s, 1.0, seed) for s in ("00", "01")] for seed in (0, 1)]
    for measure, found in ((auc, value.auc), (pauc, value.pauc)):
        each = [100 * harmonic_mean([measure(c.normal, c.anomalous) for c in of_seed]) for of_seed in cells]
        assert found == pytest.approx(np.mean(each))
    assert f"AUC {value.auc:.1f}<br>pAUC {value.pauc:.1f}" in markdown(table)


def test_a_transductive_value_that_is_the_streaming_one_by_construction_is_marked():
    one, other = evaluated("a", 1.0), evaluated("b", 1.0)
    for cell in one.document["cells"]:
        cell["transductive_is_streaming"] = True
    text = markdown(make_table([one, other]))
    assert text.count("(=)") == 2 + 1  # the cell, the whole row, the legend
    assert "by construction" in text
    assert "(=)" not in markdown(make_table([other]))


def test_what_seeds_change_widens_the_interval():
    apart = [evaluated("a", x, seed=s) for s, x in enumerate((0.4, 1.0, 1.6))]
    alike = [evaluated("a", 1.0, seed=s) for s in range(3)]
    wide, narrow = (make_table(runs).rows[0].overall.value for runs in (apart, alike))
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > narrow.high - narrow.low


def test_columns_are_machines_and_domains_and_the_rows_keep_their_order():
    runs = [
        evaluated(r, 1.0, machine=m, domains=("source", "target"), data=d)
        for r in ("b", "a")
        for m, d in (("fan", "/x/one"), ("valve", "/x/two"))
    ]
    table = make_table(runs, order=["b", "a"])
    assert [(c.data, c.machine, c.domain) for c in table.columns] == [
        ("one", "fan", "source"),
        ("one", "fan", "target"),
        ("two", "valve", "source"),
        ("two", "valve", "target"),
    ]
    assert [row.recipe for row in table.rows] == ["b", "a"]
    assert table.reference == "b"


def test_a_recipe_that_lacks_cells_is_compared_over_those_it_has_and_this_is_said():
    runs = [evaluated("a", 1.0), evaluated("a", 1.0, machine="pump"), evaluated("b", 1.6)]
    table = make_table(runs)
    b = table.rows[1]
    assert b.entries[1].value is None
    assert b.overall.value == b.entries[0].value
    assert b.overall.difference == b.entries[0].difference
    assert "b: has 2 of the 4 cells; its overall mean is over these" in table.left_out


def test_scores_of_other_clips_are_not_compared():
    table = make_table([evaluated("a", 1.0), evaluated("b", 1.6, clips="other")])
    assert table.rows[1].overall.difference is None
    assert table.rows[1].overall.value is not None


def test_seeds_that_only_some_machines_have_are_said():
    runs = [evaluated("a", 1.0, seed=0), evaluated("a", 1.0, seed=1), evaluated("a", 1.0, machine="pump")]
    table = make_table(runs)
    overall = table.rows[0].overall.value
    assert overall is not None
    assert list(overall.seeds) == [0]
    assert table.left_out == ("a: only seeds 0 have all its cells",)


def test_what_has_one_class_alone_is_left_out_and_said():
    text = "fan section 01 source: has only normal clips, so that no AUC is defined"
    runs = [evaluated(r, 1.0, sections=("00",), left_out=[text]) for r in "ab"]
    table = make_table(runs)
    assert table.columns[0].sections == ("00",)
    assert table.left_out == (f"mine: {text}",)
    assert text in markdown(table)


def test_nothing_to_compare_and_an_unknown_reference_are_errors():
    with pytest.raises(DataError, match="nothing was evaluated"):
        make_table([])
    with pytest.raises(UsageError, match=r"'c' is not one of the recipes\. Choose from: a, b"):
        make_table([evaluated("a", 1.0), evaluated("b", 1.0)], "c")


# The paper


def dcase(
    machines: Sequence[str] = MACHINES, sections: Sequence[str] = ("00", "01", "02"), **more: object
) -> ComparisonTable:
    settings = {"sections": sections, "domains": ("source", "target"), "training": (1000, 3)} | more
    return make_table([evaluated("a", 1.0, machine=m, **settings) for m in machines])


@pytest.mark.parametrize(
    ("sections", "part", "rows"), [(("00", "01", "02"), "dev", 8), (("03", "04", "05"), "eval", 6)]
)
def test_the_papers_rows_stand_beside_the_papers_data(sections, part, rows):
    table = dcase(sections=sections)
    assert len(table.paper) == rows
    assert {p.part for p in table.paper} == {part}
    first = table.paper[0]
    assert first.method == "Baseline (AE)"
    column = [(c.machine, c.domain) for c in table.columns].index(("valve", "target"))
    assert first.values[column] == {"dev": 51.45, "eval": 50.69}[part]
    assert first.overall == pytest.approx(first.printed, abs=0.01)
    assert f"paper, {part}: Baseline (AE)" in markdown(table)


@pytest.mark.parametrize(
    "other",
    [
        {"sections": ("00", "01")},
        {"training": (990, 10)},
        {"training": (100, 3)},
        {"machines": ("fan", "bearing")},
    ],
)
def test_other_data_has_no_row_of_the_paper(other):
    assert dcase(**other).paper == ()


def test_some_of_the_machines_get_the_mean_over_the_papers_values_for_these():
    (first, *_) = dcase(machines=("fan", "pump")).paper
    assert first.values == (59.14, 56.72, 63.85, 53.01)
    assert first.overall == pytest.approx(4 / (1 / 59.14 + 1 / 56.72 + 1 / 63.85 + 1 / 53.01))


def test_table_one_is_the_papers_and_its_print_is_off_where_that_is_known():
    columns = list(TABLE_1[0].values)
    off = {(r.part, r.method) for r in TABLE_1 if abs(r.overall(columns) - r.printed) > 0.015}
    own = ("Our baseline (AE)", "Our baseline (BC)", "AE ens", "BC ens", "AE+BC ens (mix)", "AE+BC ens (max)")
    assert off == {("dev", method) for method in own}
    assert len(TABLE_1) == 14
    assert part_of({}) is None


# As text


@pytest.mark.parametrize("width", [60, 400])
def test_a_narrow_terminal_gets_every_column_in_several_parts(width):
    console = Console(width=width, file=io.StringIO(), record=True)
    runs = [evaluated(r, x, machine=m, seed=s) for r, x in (("a", 1.0), ("b", 1.6)) for m in MACHINES for s in (0, 1)]
    print_table(make_table(runs), console)
    text = console.export_text()
    assert all(machine in text for machine in MACHINES)
    assert "better" in text
    assert "…" not in text
    assert text.count("recipe ") == (1 if width == 400 else 9)


def test_markdown_has_a_column_for_each_title_in_every_row():
    table = make_table([evaluated(r, x, seed=s) for r, x in (("a", 1.0), ("b", 1.6)) for s in (0, 1)])
    rows = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert rows[0] == "| recipe | fan source | all | against a |"
    assert len({row.count("|") for row in rows}) == 1
    assert " ↑<br>" in rows[3]
    assert rows[3].rstrip("| ").endswith("better")
