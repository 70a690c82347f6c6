"""Sentences about the metrics of a cell, for readers who have not read the paper: which section is weak, and why.

Each sentence follows from a stated rule on the metrics of one cell. No rule uses a constant fitted to data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from asd_agent.alarm.rate import a_day
from asd_trainer.evaluation.metrics.roc import auc
from asd_trainer.report.gather import CellReport, ScoredClip

Tone = Literal["good", "weak", "bad", "note"]
CHANCE = 0.5
TRUSTED_CLIPS = 20
"""Least number of clips for a share in per cent: below it, one clip changes the share by more than 5 points."""


@dataclass(frozen=True)
class Sentence:
    """One statement about a cell."""

    tone: Tone
    text: str


def sentences(cell: CellReport, source: CellReport | None = None) -> list[Sentence]:
    """Return the statements about a cell, the gravest first.

    Args:
        cell: The cell.
        source: Source domain of the same section, for a cell of the target domain.
    """
    found = [*_ranking(cell.measured), *_level(cell), *_shift(cell, source), *_groups(cell)]
    if cell.measured["provisional"]:
        few = (
            f"there were only {cell.measured['training_clips']} normal clips of this domain for training; spread and "
            "tail come from the source domain"
        )
        session = cell.condition.session
        why = f"all of its sound is of {session}, and that of another day scores higher" if session else few
        found.append(Sentence("note", f"Its threshold is provisional: {why}."))
    if cell.condition.threshold.extrapolated:
        found.append(Sentence("note", "Its threshold is above every score that it was set by."))
    order = ("bad", "weak", "good", "note")
    return sorted(found, key=lambda s: order.index(s.tone))


def weakest(cells: Sequence[tuple[str, CellReport]]) -> tuple[str, CellReport] | None:
    """Return the cell with the smallest AUC, with its name."""
    return min(cells, key=lambda c: float(c[1].measured["auc"][0]), default=None)


def _ranking(measured: Mapping[str, Any]) -> list[Sentence]:
    value, low, high = measured["auc"]
    range_ = f"AUC {100 * value:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f})"
    if high < CHANCE:
        return [
            Sentence(
                "bad",
                f"Faulty clips score lower than healthy ones: {range_}. The score follows something else.",
            )
        ]
    if low <= CHANCE:
        return [Sentence("bad", f"It is not distinguishable from guessing: {range_}, and 50 % is chance.")]
    chance = f"a faulty clip scores higher than a healthy one in {round(100 * value)} of 100 pairs"
    return [Sentence("good" if low > 0.75 else "weak", f"{range_}: {chance}.")]


def _level(cell: CellReport) -> list[Sentence]:
    normal, anomalous = cell.scores(anomalous=False), cell.scores(anomalous=True)
    wrong, found = int((normal > cell.level).sum()), int((anomalous > cell.level).sum())
    wanted = cell.condition.threshold.window_rate
    text = (
        f"At the threshold {_share(wrong, len(normal))} healthy clips are called faulty (wanted {100 * wanted:.1f} %)"
    )
    text += f" and {_share(found, len(anomalous))} faulty ones are found."
    statements = [Sentence("note", text)]
    # 2.5 %: one tail of the 95 % that the intervals use.
    if _at_least(wrong, len(normal), wanted) < 0.025:
        statements.append(
            Sentence("bad", "More false alarms than chance allows: the test clips differ from the training clips.")
        )
    value, low, _high = cell.measured["auc"]
    if low > CHANCE and found < len(anomalous) / 2 and value > 0.75:
        statements.append(
            Sentence(
                "weak", f"It ranks well, but most faults are below the threshold. {_reach(cell.measured)}".rstrip()
            )
        )
    return statements


def _reach(measured: Mapping[str, Any]) -> str:
    """Return the rates at which faults are found; empty for an evaluation of before they were measured."""
    if "half_found_per_day" not in measured:
        return ""
    half, most = measured["half_found_per_day"], measured["most_found_per_day"]
    return f"Half of them are found at {a_day(half)} false alarms a day and more, 90 % at {a_day(most)}."


def _shift(cell: CellReport, source: CellReport | None) -> list[Sentence]:
    if source is None:
        return []
    mine, other = cell.measured["auc"], source.measured["auc"]
    if mine[2] >= other[1]:
        return []
    drop = 100 * (other[0] - mine[0])
    return [Sentence("weak", f"The domain shift costs {drop:.0f} points of AUC against this section's source domain.")]


def _groups(cell: CellReport) -> list[Sentence]:
    """Return a statement about the attribute whose values are detected most unequally, if the clips have any."""
    normal = [j for j in cell.judged if not j.anomalous]
    anomalous = [j for j in cell.judged if j.anomalous]
    best: tuple[float, str] | None = None
    for key in sorted({k for j in anomalous for k in j.clip.attributes}):
        groups = _by_value(anomalous, key)
        if len(groups) < 2 or not normal:
            continue
        aucs = {value: auc(_scores(normal), _scores(chosen)) for value, chosen in groups.items()}
        worst, finest = min(aucs, key=lambda v: aucs[v]), max(aucs, key=lambda v: aucs[v])
        spread = aucs[finest] - aucs[worst]
        text = (
            f"By {key}: {worst} is detected worst (AUC {100 * aucs[worst]:.0f} %, {len(groups[worst])} clips), "
            f"{finest} best ({100 * aucs[finest]:.0f} %, {len(groups[finest])})."
        )
        if best is None or spread > best[0]:
            best = spread, text
    return [Sentence("note", best[1])] if best else []


def _by_value(judged: Sequence[ScoredClip], key: str, least: int = 5) -> dict[str, list[ScoredClip]]:
    counts = Counter(j.clip.attributes.get(key, "") for j in judged)
    return {v: [j for j in judged if j.clip.attributes.get(key) == v] for v, n in counts.items() if v and n >= least}


def _scores(judged: Sequence[ScoredClip]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([j.score for j in judged])


def _share(count: int, of: int) -> str:
    return f"{count} of {of}" + (f" ({100 * count / of:.0f} %)" if of >= TRUSTED_CLIPS else "")


def _at_least(count: int, of: int, rate: float) -> float:
    """Return the probability of `count` or more of `of` events, each with this rate."""
    from scipy.stats import binom

    return float(binom.sf(count - 1, of, rate))
