"""The order in which members are kept: those first that together judge normal sound most as the whole ensemble does.

Greedy forward selection (Caruana et al. 2004) on agreement instead of labels: beside those already kept, the member
that brings the combined scores of held-out normal clips nearest to those of all members. No anomaly is looked at, so
that a bound is a bound on how differently a smaller ensemble judges, and not on how much worse.

Agreement is Spearman's rank correlation of the combined scores of normal clips: it does not hang on scale or spread,
which are fitted anew to what is kept. The lowest of all sections and domains is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from asd_agent.bundle.manifest import Combination
from asd_agent.calibrate.compose import FittedExpert, expert_scores, total_scores
from asd_agent.errors import DataError
from asd_trainer.recipes.recipe import Prune

Float = npt.NDArray[np.float64]
LEAST_CLIPS = 10
"""Clips judged by all members below which a section and domain does not count: a rank correlation of fewer is noise."""


@dataclass(frozen=True)
class Candidate:
    """One section and domain with all fitted members.

    Attributes:
        experts: As they are composed.
        units: For each expert, the id under which each of its members is counted.
    """

    experts: Sequence[FittedExpert]
    units: Sequence[Sequence[str]]

    def scores(self, kept: Collection[str], combination: Combination) -> Float:
        """The combined score of each clip with some members alone; NaN where it has none."""
        found = []
        for expert, units in zip(self.experts, self.units, strict=True):
            members = [m for m, unit in zip(expert.members, units, strict=True) if unit in kept]
            if members:
                found.append(expert_scores(FittedExpert(expert.name, members, expert.combination)))
        return total_scores(found, combination)

    def judged(self) -> npt.NDArray[np.bool_]:
        """Return the clips that every member has judged; folds may rotate over members."""
        references = [m.calibrated.reference for e in self.experts for m in e.members]
        return np.asarray(np.isfinite(np.stack(references)).all(axis=0))


@dataclass(frozen=True)
class Order:
    """Members, those to keep first at the front.

    Attributes:
        members: Their ids; a classifier's is that of its members in all sections together.
        agreement: With all of them, of the first, the first two and so on; the last is 1.
        clips: Normal clips that the agreement was measured on.
    """

    members: tuple[str, ...]
    agreement: tuple[float, ...]
    clips: int

    def kept(self, prune: Prune) -> tuple[str, ...]:
        """Those that are kept.

        Raises:
            DataError: There are fewer members than are asked for.
        """
        if prune.members is None:
            bound = prune.agreement or 1.0
            return self.members[: next(n for n, a in enumerate(self.agreement, 1) if a >= bound)]
        if prune.members > len(self.members):
            raise DataError(
                f"{prune.members} members cannot be kept of {len(self.members)}",
                f"There are {', '.join(sorted(self.members))}.",
            )
        return self.members[: prune.members]


def order_members(candidates: Sequence[Candidate], combination: Combination) -> Order:
    """Put members in order.

    Args:
        candidates: Sections and domains with their fitted members.
        combination: Of the experts.

    Raises:
        DataError: No section and domain has normal clips enough that all members have judged.
    """
    everyone = sorted({unit for c in candidates for units in c.units for unit in units})
    measured = []
    for candidate in candidates:
        whole = candidate.scores(everyone, combination)
        rows = candidate.judged() & np.isfinite(whole)
        if rows.sum() >= LEAST_CLIPS:
            measured.append((candidate, rows, whole))
    if not measured:
        raise DataError(
            f"no section has {LEAST_CLIPS} normal clips that no member has learnt, so it is unknown which "
            "members agree",
            "Give more normal recordings: from 100 of a section on, all members hold out the same clips.",
        )
    kept: list[str] = []
    agreements: list[float] = []
    while len(kept) < len(everyone):
        found = {
            unit: min(_agreement(c.scores([*kept, unit], combination), whole, rows) for c, rows, whole in measured)
            for unit in everyone
            if unit not in kept
        }
        best = max(found, key=lambda unit: found[unit])
        kept.append(best)
        agreements.append(found[best])
    return Order(tuple(kept), (*agreements[:-1], 1.0), sum(int(rows.sum()) for _, rows, _ in measured))


def _agreement(scores: Float, whole: Float, rows: npt.NDArray[np.bool_]) -> float:
    """Spearman's correlation over the clips that both have scored; -1 where it is undefined."""
    both = rows & np.isfinite(scores)
    if both.sum() < LEAST_CLIPS or np.ptp(scores[both]) == 0 or np.ptp(whole[both]) == 0:
        return -1.0
    return float(spearmanr(scores[both], whole[both]).statistic)
