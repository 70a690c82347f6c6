"""From a condition's fitted members to the condition itself: combination, standardisation, threshold, plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.normal_scores import ClipScores, StreamScores
from asd_agent.alarm.rate import Method, Rule, fit_threshold
from asd_agent.bundle.manifest import (
    Combination,
    Condition,
    ConditionName,
    ExpertUse,
    FramePooling,
    MemberUse,
    Standardisation,
    Threshold,
)
from asd_agent.calibrate.condition import Calibrated, standardisation
from asd_agent.calibrate.hop_windows import HopWindows
from asd_agent.calibrate.settings import Arrays, DensitySettings
from asd_agent.errors import DataError
from asd_agent.inference.ensemble import available_ensemble_score, ensemble_score, standardise

Float = npt.NDArray[np.float64]
REFERENCE = "reference"
"""Key of a member's sorted reference scores, beside the arrays of its scorer."""
EXPERTS = "experts"
"""Between a condition's key and an expert's: a detector without a network has its expert's name."""
LEAST_OF_A_CONDITION = 2
"""Values that occur once, such as the number of a test run, name no operating condition."""
LEVEL_MARGIN_DB = 10.0
"""A window is suspect when its level is this far outside the levels of calibration."""


@dataclass(frozen=True)
class ThresholdSettings:
    """Method, wanted rate and rule of the thresholds."""

    method: Method = "auto"
    false_alarms_per_day: float | None = None
    rule: Rule = field(default_factory=Rule)


@dataclass(frozen=True)
class FittedMember:
    """A member in one condition; reference scores in the clips' order, NaN for those that it has learnt."""

    member: str
    density: DensitySettings
    pooling: FramePooling
    calibrated: Calibrated


@dataclass(frozen=True)
class FittedExpert:
    """An expert's members in one condition."""

    name: str
    members: Sequence[FittedMember]
    combination: Combination


@dataclass(frozen=True)
class CalibrationSound:
    """The normal clips that a condition rests on.

    Attributes:
        clips: How many.
        levels_dbfs: Of each.
        provisional: Too few for a spread and a tail of their own.
        session: The one session or day that all of them come from, in words; see `session_of`.
        hops: Windows at the rule's hop, where clips are contiguous.
        recordings: Recordings that the clips come from.
        operating: Operating condition of each clip, as its name states it; empty where none is known.
    """

    clips: int
    levels_dbfs: Sequence[float]
    provisional: bool
    hops: HopWindows | None = None
    recordings: int | None = None
    session: str = ""
    operating: Sequence[str] = ()

    @property
    def is_provisional(self) -> bool:
        """True where the levels need more sound, or sound of other days."""
        return self.provisional or bool(self.session)


def compose(
    section: str,
    domain: ConditionName,
    experts: Sequence[FittedExpert],
    combination: Combination,
    sound: CalibrationSound,
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
        key = f"{prefix}/{EXPERTS}/{expert.name}/{REFERENCE}"
        _store(arrays, key, _sorted(scores))
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
    _store(arrays, key, np.sort(standardise(total, overall)))
    clips = standardise(scores, overall)
    streams = _streams(experts, combination, clips, overall, sound, asked.rule)
    condition = Condition(
        section=section,
        domain=domain,
        experts=uses,
        combination=combination,
        standardisation=overall,
        reference=key,
        clips=sound.clips,
        provisional=sound.is_provisional,
        session=sound.session,
        level_dbfs=_levels(sound),
        threshold=_limited(_threshold(arrays[key], asked, sound, streams), clips, sound, asked.rule),
    )
    return condition, arrays


def compose_moved(
    base: Condition,
    references: Mapping[str, npt.NDArray[Any]],
    domain: ConditionName,
    members: Mapping[str, FittedMember],
    sound: CalibrationSound,
    asked: ThresholdSettings,
) -> tuple[Condition, Arrays]:
    """Put a condition together whose members have a location of their own and all else from another condition.

    A moved member's z-scores of its reference clips are those of the base. So the experts' and the condition's own
    statistics are the base's too. They cannot be computed again: a bundle holds reference scores sorted, and those of
    different members no longer belong to the same clips.

    Args:
        base: The condition that spread and tail come from.
        references: Arrays that it names.
        domain: Domain of the new condition.
        members: Moved members, by their ids.
        sound: The few clips that moved them.
        asked: What the user asks of thresholds.

    Returns:
        As for `compose`.
    """
    prefix = f"{base.section}/{domain}"
    arrays: Arrays = {}
    uses = []
    for expert in base.experts:
        key = f"{prefix}/{EXPERTS}/{expert.name}/{REFERENCE}"
        _store(arrays, key, np.asarray(references[expert.reference]))
        moved = [_use(f"{prefix}/{use.member}", members[use.member], arrays) for use in expert.members]
        uses.append(expert.model_copy(update={"members": moved, "reference": key}))
    key = f"{prefix}/{REFERENCE}"
    _store(arrays, key, np.asarray(references[base.reference]))
    update = {
        "domain": domain,
        "experts": uses,
        "reference": key,
        "clips": sound.clips,
        "provisional": sound.is_provisional,
        "session": sound.session,
        "level_dbfs": _levels(sound),
        "threshold": _threshold(arrays[key], asked, sound).model_copy(update={"upper_per_day": None}),
    }
    return base.model_copy(update=update), arrays


def _levels(sound: CalibrationSound) -> tuple[float, float]:
    return min(sound.levels_dbfs) - LEVEL_MARGIN_DB, max(sound.levels_dbfs) + LEVEL_MARGIN_DB


def _threshold(
    reference: Float, asked: ThresholdSettings, sound: CalibrationSound, streams: StreamScores | None = None
) -> Threshold:
    return fit_threshold(
        reference,
        alarms_per_day=asked.false_alarms_per_day,
        rule=asked.rule,
        method=asked.method,
        streams=streams,
        recordings=sound.recordings,
    )


def _limited(threshold: Threshold, clips: Float, sound: CalibrationSound, rule: Rule) -> Threshold:
    """Return a threshold with the limit of the operating condition that shows least, or without any limit.

    A level over the clips of several conditions keeps its rate while the machine changes between them as the clips do.
    It may run in one of them for days. Few clips whose spread and tail are another domain's show no limit.

    Args:
        threshold: From the scores of all clips.
        clips: Standardised score of each clip, shape (clips,); NaN for one that was not judged.
        sound: The clips' origin.
        rule: Rule that the rates hold for.
    """
    if sound.provisional:
        return threshold.model_copy(update={"upper_per_day": None})
    if len(sound.operating) != len(clips):
        return threshold
    operating, judged = np.asarray(sound.operating), np.isfinite(clips)
    for name in sorted(set(sound.operating) - {""}):
        own = np.sort(clips[judged & (operating == name)])
        if not LEAST_OF_A_CONDITION <= len(own) < int(judged.sum()):
            continue
        upper = ClipScores(own, rule, tailed=False).rate(threshold.raise_level).upper
        if upper > max(threshold.upper_per_day or 0.0, threshold.upper_alone_per_day or 0.0):
            threshold = threshold.model_copy(update={"upper_alone_per_day": upper, "alone": name})
    return threshold


def _streams(
    experts: Sequence[FittedExpert],
    combination: Combination,
    clips: Float,
    overall: Standardisation,
    sound: CalibrationSound,
    rule: Rule,
) -> StreamScores | None:
    """Return standardised scores of the contiguous stretches at the rule's hop; None where there are none."""
    hops = sound.hops
    if hops is None or not hops.stretches or len(clips) != hops.clips:
        return None
    members = [m for e in experts for m in e.members]
    if any(len(m.calibrated.between) != len(hops.begins) for m in members):
        return None
    between = np.empty(0)
    if len(hops.begins):
        own = [expert_scores(e, [m.calibrated.between for m in e.members]) for e in experts]
        references = [_sorted(expert_scores(e)) for e in experts]
        between = standardise(_total(own, references, combination), overall)
    found = [part for part in hops.series(clips, between) if len(part) >= max(2, rule.n)]
    return StreamScores(found, rule) if found else None


def expert_scores(expert: FittedExpert, raw: Sequence[Float] | None = None) -> Float:
    """An expert's score of each reference clip, shape (clips,); NaN where no member of it has judged.

    Args:
        expert: The expert.
        raw: Raw scores of other windows by each member, shape (windows,), in place of the reference clips'.
    """
    references = [m.calibrated.reference for m in expert.members]
    return available_ensemble_score(
        np.stack(references if raw is None else raw),
        [m.calibrated.standardisation for m in expert.members],
        [_sorted(r) for r in references],
        expert.combination,
    )


def total_scores(scores: Sequence[Float], combination: Combination) -> Float:
    """The score of each reference clip from its experts', shape (clips,); NaN where one of them has not judged."""
    return _total(scores, [_sorted(s) for s in scores], combination)


def _total(scores: Sequence[Float], references: list[Float], combination: Combination) -> Float:
    stacked = np.stack(scores)
    judged = np.isfinite(stacked).all(axis=0)
    total = np.full(stacked.shape[1], np.nan)
    if judged.any():
        total[judged] = ensemble_score(
            stacked[:, judged], [standardisation(r) for r in references], references, combination
        )
    return total


def _use(prefix: str, fitted: FittedMember, arrays: Arrays) -> MemberUse:
    for key, array in fitted.calibrated.scorer.items():
        _store(arrays, f"{prefix}/{key}", array)
    _store(arrays, f"{prefix}/{REFERENCE}", _sorted(fitted.calibrated.reference))
    return MemberUse(
        member=fitted.member,
        density=fitted.density.density,
        summary=fitted.density.summary,
        scorer=prefix,
        pooling=fitted.pooling,
        standardisation=fitted.calibrated.standardisation,
        reference=f"{prefix}/{REFERENCE}",
    )


def _store(arrays: Arrays, key: str, array: npt.NDArray[Any]) -> None:
    """Add an array under a key of its own: two experts or members of one name would overwrite each other in silence."""
    if key in arrays:
        raise ValueError(f"two arrays of one condition have the key {key!r}")
    arrays[key] = array


def _sorted(scores: Float) -> Float:
    return np.sort(scores[np.isfinite(scores)])
