"""From a condition's fitted members to the condition itself: combination, standardisation, threshold, plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rate import Method, Rule, fit_threshold
from asd_agent.bundle.manifest import (
    Combination,
    Condition,
    ConditionName,
    Density,
    ExpertUse,
    FramePooling,
    MemberUse,
)
from asd_agent.calibrate.condition import Calibrated, standardisation
from asd_agent.calibrate.settings import Arrays
from asd_agent.errors import DataError
from asd_agent.inference.ensemble import available_ensemble_score, ensemble_score, standardise

Float = npt.NDArray[np.float64]
REFERENCE = "reference"
"""Key of a member's sorted reference scores, beside the arrays of its scorer."""
LEVEL_MARGIN_DB = 10.0
"""So far beyond the levels heard in calibration a window is suspect."""


@dataclass(frozen=True)
class ThresholdSettings:
    """What the user asks of thresholds."""

    method: Method = "quantile"
    false_alarms_per_day: float = 1.0
    rule: Rule = field(default_factory=Rule)


@dataclass(frozen=True)
class FittedMember:
    """A member in one condition; reference scores in the clips' order, NaN for those that it has learnt."""

    member: str
    density: Density
    pooling: FramePooling
    calibrated: Calibrated


@dataclass(frozen=True)
class FittedExpert:
    """An expert's members in one condition."""

    name: str
    members: Sequence[FittedMember]
    combination: Combination


@dataclass(frozen=True)
class Heard:
    """The normal clips that a condition rests on.

    Attributes:
        clips: How many.
        levels_dbfs: Of each.
        provisional: Too few for a spread and a tail of their own.
    """

    clips: int
    levels_dbfs: Sequence[float]
    provisional: bool


def compose(
    section: str,
    domain: ConditionName,
    experts: Sequence[FittedExpert],
    combination: Combination,
    heard: Heard,
    asked: ThresholdSettings,
) -> tuple[Condition, Arrays]:
    """Put a condition together.

    Returns:
        The condition, and the arrays that it names, by keys below `<section>/<domain>/`.

    Raises:
        DataError: No clip is left that each expert could judge.
    """
    prefix = f"{section}/{domain}"
    arrays: Arrays = {}
    uses: list[ExpertUse] = []
    combined: list[Float] = []
    for expert in experts:
        members = [_use(f"{prefix}/{m.member}", m, arrays) for m in expert.members]
        scores = expert_scores(expert)
        combined.append(scores)
        key = f"{prefix}/{expert.name}/{REFERENCE}"
        arrays[key] = _sorted(scores)
        uses.append(
            ExpertUse(
                name=expert.name,
                members=members,
                combination=expert.combination,
                standardisation=standardisation(arrays[key]),
                reference=key,
            )
        )
    scores = total_scores(combined, combination)
    total = scores[np.isfinite(scores)]
    if not total.size:
        raise DataError(
            f"section {section} has no normal clip left to set the threshold of its {domain} domain by",
            "Give more normal recordings of it.",
        )
    overall = standardisation(total)
    key = f"{prefix}/{REFERENCE}"
    arrays[key] = np.sort(standardise(total, overall))
    condition = Condition(
        section=section,
        domain=domain,
        experts=uses,
        combination=combination,
        standardisation=overall,
        reference=key,
        clips=heard.clips,
        provisional=heard.provisional,
        level_dbfs=(min(heard.levels_dbfs) - LEVEL_MARGIN_DB, max(heard.levels_dbfs) + LEVEL_MARGIN_DB),
        threshold=fit_threshold(
            arrays[key], alarms_per_day=asked.false_alarms_per_day, rule=asked.rule, method=asked.method
        ),
    )
    return condition, arrays


def expert_scores(expert: FittedExpert) -> Float:
    """An expert's score of each reference clip, shape (clips,); NaN where no member of it has judged."""
    references = [m.calibrated.reference for m in expert.members]
    return available_ensemble_score(
        np.stack(references),
        [m.calibrated.standardisation for m in expert.members],
        [_sorted(r) for r in references],
        expert.combination,
    )


def total_scores(scores: Sequence[Float], combination: Combination) -> Float:
    """The score of each reference clip from its experts', shape (clips,); NaN where one of them has not judged."""
    stacked = np.stack(scores)
    judged = np.isfinite(stacked).all(axis=0)
    references = [_sorted(s) for s in scores]
    total = np.full(stacked.shape[1], np.nan)
    if judged.any():
        total[judged] = ensemble_score(
            stacked[:, judged], [standardisation(r) for r in references], references, combination
        )
    return total


def _use(prefix: str, fitted: FittedMember, arrays: Arrays) -> MemberUse:
    for key, array in fitted.calibrated.scorer.items():
        arrays[f"{prefix}/{key}"] = array
    arrays[f"{prefix}/{REFERENCE}"] = _sorted(fitted.calibrated.reference)
    return MemberUse(
        member=fitted.member,
        density=fitted.density,
        scorer=prefix,
        pooling=fitted.pooling,
        standardisation=fitted.calibrated.standardisation,
        reference=f"{prefix}/{REFERENCE}",
    )


def _sorted(scores: Float) -> Float:
    return np.sort(scores[np.isfinite(scores)])
