"""Choice of scoring defaults on stored outputs: densities, pooling, domain rules and mixtures, by leaving machines out.

python benchmarks/score_choices.py STORE [--markdown TABLES.md] [--most 4]

STORE comes from `stored_outputs.py`. Scorers are fitted to normal training clips by the product's own code; labels of
test clips serve to choose among settings, here and nowhere else. A choice counts where it was not made: what does best
on all other machines is reported on the machine left out, in turn. A rig at several noise levels, in data sets named
after it with a number at the end, is one machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from score_cells import CHOICES, CellScores, Choice, Clips, Key, mixed, outputs, scored, value

from asd_agent.bundle.manifest import Combination
from asd_agent.calibrate.density import fit_density, mean_log_likelihood
from asd_trainer.evaluation.metrics.bootstrap import Cell, paired_difference
from asd_trainer.evaluation.metrics.roc import harmonic_mean

Float = npt.NDArray[np.float64]
Values = dict[Key, tuple[float, float]]


def overall(values: Values, machines: Sequence[str] | None = None) -> float:
    """Return the harmonic mean of AUC and pAUC over cells, in %; of some machines where they are named."""
    kept = [v for key, v in values.items() if machines is None or unit_of(key) in machines]
    return 100 * harmonic_mean([x for pair in kept for x in pair])


def of_units(values: Values) -> dict[str, float]:
    """Return the value of each machine."""
    return {unit: overall(values, [unit]) for unit in sorted({unit_of(key) for key in values})}


def unit_of(key: Key) -> str:
    """Return the name under which a machine is left out: one rig at several noise levels is one machine."""
    data = key[0].rstrip("0123456789")
    return data if data == key[1] else f"{data}/{key[1]}"


@dataclass(frozen=True)
class LeftOut:
    """Choice that is made without one machine.

    Attributes:
        unit: The machine.
        chosen: What does best on all others.
        value: Its value on this machine.
        best: What does best on this machine, and its value.
    """

    unit: str
    chosen: str
    value: float
    best: tuple[str, float]

    @property
    def regret(self) -> float:
        """Points that the choice loses on this machine."""
        return self.best[1] - self.value


def leave_out(table: Mapping[str, Values]) -> list[LeftOut]:
    """Choose on all machines but one, in turn, by the mean over machines."""
    by_unit = {name: of_units(values) for name, values in table.items()}
    units = sorted(set.intersection(*(set(of) for of in by_unit.values())))
    found = []
    for unit in units:
        chosen = max(by_unit, key=lambda name: float(np.mean([by_unit[name][u] for u in units if u != unit])))
        best = max(by_unit, key=lambda name: by_unit[name][unit])
        found.append(LeftOut(unit, chosen, by_unit[chosen][unit], (best, by_unit[best][unit])))
    return found


def likelihoods(choices: Mapping[str, Choice], store: Path) -> list[tuple[str, str, float, float, float]]:
    """Return the mean negative log-likelihood of fitted, fresh and anomalous clips, by choice and machine."""
    found = []
    for folder in sorted(p.parent for p in store.glob("*/*/clips.json")):
        clips = Clips.read(folder)
        for name, choice in choices.items():
            if choice.density.density not in ("gmm", "mahalanobis"):
                continue
            for output, unseen in list(outputs(folder, choice.member))[:1]:
                values = []
                for section, domain in clips.cells():
                    kept = [
                        i
                        for i in clips.where(section, "source", "train")
                        if unseen is None or clips.rows[i]["name"] in unseen
                    ]
                    if domain != "source" or len(kept) < 2:
                        continue
                    arrays = fit_density(output[kept], choice.density)
                    values.append(
                        [
                            -mean_log_likelihood(arrays, output[rows], choice.density) / arrays["usual_mean"].size
                            for rows in (
                                kept,
                                clips.where(section, domain, "test"),
                                clips.where(section, domain, "test", "anomaly"),
                            )
                        ]
                    )
                if values:
                    own, fresh, faulty = np.mean(values, axis=0)
                    found.append((name, f"{folder.parent.name}/{folder.name}", own, fresh, faulty))
    return found


SCALES: Mapping[str, Combination] = {
    "compressed": Combination(),
    "clipped at 20": Combination(scale="clip"),
    "tail probability": Combination(method="ranking"),
    "maximum": Combination(method="maximum"),
}


def mixtures(
    scores: Mapping[str, Mapping[Key, CellScores]], cells: Mapping[Key, Cell], parts: Sequence[str], most: int
) -> dict[str, Values]:
    """Return the values of every mixture of 2 to `most` parts on every scale."""
    keys = sorted(set.intersection(*(set(scores[p]) for p in parts)))
    found: dict[str, Values] = {}
    for count in range(2, most + 1):
        for chosen in combinations(parts, count):
            for scale, how in SCALES.items():
                found[f"{' + '.join(chosen)} ({scale})"] = {
                    key: value(mixed([scores[p][key] for p in chosen], how), len(cells[key].normal)) for key in keys
                }
    return found


def difference(a: Mapping[Key, list[Float]], b: Mapping[Key, list[Float]], cells: Mapping[Key, Cell]) -> str:
    """Return the paired difference of two systems over their common cells, in points, from the first seed's scores."""
    keys = sorted(set(a) & set(b))

    def of(scores: Mapping[Key, list[Float]]) -> list[Cell]:
        return [
            Cell(
                scores[k][0][: len(cells[k].normal)],
                scores[k][0][len(cells[k].normal) :],
                cells[k].normal_recordings,
                cells[k].anomalous_recordings,
            )
            for k in keys
        ]

    found = paired_difference(of(a), of(b))
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def show_cells(table: Mapping[str, Values], cells: Mapping[Key, Cell]) -> None:
    """Print each choice's value for each machine and domain."""
    columns = sorted({(*key[:2], key[3]) for key in cells})
    _row("choice", *(" ".join(c) for c in columns), "all")
    _row("---", *["---:"] * (len(columns) + 1))
    for name, values in table.items():
        of = [[v for k, v in values.items() if (*k[:2], k[3]) == c] for c in columns]
        shown = [f"{100 * harmonic_mean([x for pair in r for x in pair]):.1f}" if r else "" for r in of]
        _row(name, *shown, f"{overall(values):.1f}" + ("" if set(values) == set(cells) else " *"))


def show_left_out(found: Sequence[LeftOut]) -> None:
    """Print what is chosen without each machine."""
    _row("left out", "chosen on the others", "there", "best there", "regret")
    _row("---", "---", "---:", "---", "---:")
    for one in found:
        _row(one.unit, one.chosen, f"{one.value:.1f}", f"{one.best[0]}: {one.best[1]:.1f}", f"{one.regret:.1f}")
    _row("mean", "", f"{np.mean([x.value for x in found]):.1f}", "", f"{np.mean([x.regret for x in found]):.1f}")


def show_ranking(table: Mapping[str, Values], names: Sequence[str]) -> None:
    """Print some systems with their mean and lowest value over machines."""
    _row("scores", "mean over machines", "lowest machine", "all cells")
    _row("---", "---:", "---:", "---:")
    for name in names:
        units = list(of_units(table[name]).values())
        _row(name, f"{np.mean(units):.1f}", f"{min(units):.1f}", f"{overall(table[name]):.1f}")


def _row(*fields: str) -> None:
    sys.stdout.write(f"| {' | '.join(fields)} |\n")


def _title(text: str) -> None:
    sys.stdout.write(f"\n{text}\n\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--most", type=int, default=3, help="parts of a mixture")
    parser.add_argument("--part", action="append", help="a choice that mixtures may have; by default all but bc")
    parser.add_argument(
        "--mixture", action="append", default=[], help="a mixture to compare, such as 'a + b (maximum)'"
    )
    parser.add_argument("--choice", action="append", help="only this choice; may be given again")
    parser.add_argument("--nll", action="store_true", help="also the likelihoods in sample and fresh")
    asked = parser.parse_args()
    choices = {name: CHOICES[name] for name in asked.choice or CHOICES}
    scores, cells = scored(choices, asked.store)
    table = {n: {k: value(c.scores, len(cells[k].normal)) for k, c in of.items()} for n, of in scores.items()}
    complete = {name: values for name, values in table.items() if set(values) == set(cells)}
    show_cells(table, cells)
    _title("Single choices, by leaving one machine out:")
    show_left_out(leave_out(complete))

    def system(name: str) -> dict[Key, list[Float]]:
        if name in scores:
            return {key: cell.scores for key, cell in scores[name].items()}
        parts, scale = name.removesuffix(")").rsplit(" (", 1)
        return {key: mixed([scores[p][key] for p in parts.split(" + ")], SCALES[scale]) for key in cells}

    mixes = mixtures(scores, cells, asked.part or [p for p in complete if not p.startswith("bc")], asked.most)
    for name in asked.mixture:
        mixes[name] = {key: value(of, len(cells[key].normal)) for key, of in system(name).items()}
    ranked = sorted(mixes, key=lambda n: -float(np.mean(list(of_units(mixes[n]).values()))))
    _title("Mixtures and single choices, by the mean over machines:")
    show_ranking(mixes | complete, [*dict.fromkeys([*ranked[:15], *asked.mixture]), *complete])
    _title("Mixtures and single choices, by leaving one machine out:")
    show_left_out(leave_out(mixes | complete))
    _title("Paired differences over all cells, in points:")
    _row("", "against", "difference")
    _row("---", "---", "---")

    for mixture in asked.mixture or ranked[:1]:
        for name in complete:
            _row(mixture, name, difference(system(mixture), system(name), cells))
    for name in complete:
        for other in ("mahalanobis", "indicators"):
            if name != other and other in complete:
                _row(name, other, difference(system(name), system(other), cells))
    if asked.nll:
        _title("Mean negative log-likelihood of a clip's numbers, for each number:")
        _row("density", "machine", "its own clips", "fresh normals", "faults")
        _row("---", "---", "---:", "---:", "---:")
        for density, machine, own, fresh, faulty in likelihoods(choices, asked.store):
            _row(density, machine, f"{own:.2f}", f"{fresh:.2f}", f"{faulty:.2f}")


if __name__ == "__main__":
    main()
