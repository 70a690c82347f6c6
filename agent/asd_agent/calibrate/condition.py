"""A section and domain, from outputs of its normal clips to scorers, standardisation and reference scores.

No clip's own score enters a statistic unless the scorer was fitted without its recording: reference scores are
cross-fitted. A domain with a few clips gives a location only, by leaving one clip out at a time; spread and tail are
the source's, and the result is provisional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import FramePooling, MemberUse, Standardisation
from asd_agent.calibrate.density import (
    SHRINKAGES,
    choose_shrinkage,
    fit_density,
    mean_log_likelihood,
    shift_density,
)
from asd_agent.calibrate.settings import Arrays, DensitySettings, ModelOutputs
from asd_agent.errors import DataError
from asd_agent.inference.scorer import member_scores

Float = npt.NDArray[np.float64]
FOLDS = 10
PROVISIONAL_BELOW = 10
"""A domain with fewer clips gives a location only and borrows the rest from the source."""
LEAST_CLIPS = 2


@dataclass(frozen=True)
class DomainData:
    """Model outputs of held-out normal clips by one member.

    Attributes:
        outputs: Shape (clips, rows, dimensions).
        recordings: Which recording each clip comes from; clips of one recording are never on both sides of a fold.
        between: Model outputs of windows that begin in one clip and end in the next, shape (windows, rows, dimensions);
            they are scored, and nothing is fitted to them.
        begins: Row of the clip in which each of these begins, shape (windows,).
    """

    outputs: ModelOutputs
    recordings: Sequence[str]
    between: ModelOutputs = field(default_factory=lambda: np.empty((0, 1, 1)))
    begins: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))


@dataclass(frozen=True)
class Calibrated:
    """One member in one section and domain.

    Attributes:
        scorer: Arrays of its density.
        reference: Cross-fitted raw scores in the clips' order, shape (clips,); the source's, moved, if provisional.
        standardisation: Of raw scores.
        between: Cross-fitted raw scores of the windows between two clips, shape (windows,).
    """

    scorer: Arrays
    reference: Float
    standardisation: Standardisation
    between: Float = field(default_factory=lambda: np.empty(0))


def calibrate_source(
    data: DomainData,
    settings: DensitySettings,
    pooling: FramePooling,
    seed: int = 0,
    learnt: ModelOutputs | None = None,
) -> Calibrated:
    """Fit one member's scorer on a domain with clips enough.

    Args:
        data: Clips that the member has not learnt; their scores are the reference.
        settings: Density.
        pooling: From rows to a score.
        seed: Seed of the fit.
        learnt: Model outputs of clips that the member has learnt, shape (clips, rows, dimensions), where the density is
            fitted to them as well.

    Raises:
        DataError: Fewer than two recordings: no score could be had without its own fit.
    """
    x = np.asarray(data.outputs)

    def fit(clips: ModelOutputs) -> Arrays:
        return fit_density(clips if learnt is None else np.concatenate([learnt, clips]), settings, seed)

    reference, between = cross_fit(data, fit, judge_of(settings, pooling))
    return Calibrated(fit(x), reference, standardisation(reference), between)


def cross_fit(
    data: DomainData, fit: Callable[[ModelOutputs], Arrays], judge: Callable[[ModelOutputs, Arrays], Float]
) -> tuple[Float, Float]:
    """Score every clip, and every window between two, by a fit that has none of its sound.

    A fold's windows between two clips may end in a clip of another fold, which its fit leaves out as well.

    Args:
        data: Model outputs of the domain.
        fit: Arrays of a scorer from clips.
        judge: Raw scores by a scorer.

    Returns:
        Scores of the clips, shape (clips,), and of the windows between two, shape (windows,); NaN for one whose fold
        leaves no clip to fit.

    Raises:
        DataError: All clips come from one recording.
    """
    x, between = np.asarray(data.outputs), np.asarray(data.between)
    reference, more = np.empty(len(x)), np.full(len(between), np.nan)
    for held_out in folds(data.recordings):
        rows = np.flatnonzero(np.isin(data.begins, held_out))
        left_out = np.union1d(held_out, data.begins[rows] + 1)
        if len(left_out) == len(x):
            rows, left_out = rows[:0], held_out
        fitted = fit(np.delete(x, left_out, axis=0))
        reference[held_out] = judge(x[held_out], fitted)
        if rows.size:
            more[rows] = judge(between[rows], fitted)
    return reference, more


def calibrate_target(
    target: DomainData, source: Calibrated, settings: DensitySettings, pooling: FramePooling
) -> Calibrated:
    """Fit a scorer for a domain with a few clips, by shrinkage to the source's.

    The location is the mean score of clips left out; with n clips it is known to spread/√n, which widens the spread.
    """
    x = np.asarray(target.outputs)
    judge = judge_of(settings, pooling)
    share = choose_shrinkage(source.scorer, x, settings)
    left_out = [
        float(
            judge(
                x[[i]],
                shift_density(source.scorer, np.delete(x, i, axis=0), share, settings.summary)
                if len(x) > 1
                else source.scorer,
            )[0]
        )
        for i in range(len(x))
    ]
    return borrowed(shift_density(source.scorer, x, share, settings.summary), np.array(left_out), source)


def borrowed(scorer: Arrays, left_out: Float, source: Calibrated) -> Calibrated:
    """A domain's scorer with the source's reference scores, moved to the mean of a few clips' and spread as above.

    Args:
        scorer: Fitted with all of the few clips.
        left_out: Score of each by a scorer fitted without it, shape (clips,).
        source: Whose spread and tail are taken.
    """
    location = float(np.mean(left_out))
    spread = source.standardisation.std * float(np.sqrt(1.0 + 1.0 / len(left_out)))
    z = (source.reference - source.standardisation.mean) / source.standardisation.std
    return Calibrated(scorer, location + spread * z, Standardisation(mean=location, std=spread))


def calibrate_near(
    data: DomainData, source: Arrays, settings: DensitySettings, pooling: FramePooling, seed: int = 0
) -> Calibrated:
    """Fit one member's scorer to a fair number of clips of another place.

    Either a density of their own, or the source's covariances with means moved by a share: whichever finds the clips
    that are held out likelier. A dozen clips determine the location of normal long before its shape. A bank keeps the
    source's items and gets these beside them.

    Raises:
        DataError: Fewer than two recordings.
    """
    if settings.density == "mean":
        return calibrate_source(data, settings, pooling, seed)
    x = np.asarray(data.outputs)

    def fit(share: float | None, clips: ModelOutputs) -> Arrays:
        if share is None:
            return fit_density(clips, settings, seed)
        return shift_density(source, clips, share, settings.summary)

    parts = folds(data.recordings)

    def likelihood(share: float | None) -> float:
        found = [
            mean_log_likelihood(fit(share, np.delete(x, held_out, axis=0)), x[held_out], settings) for held_out in parts
        ]
        return float(np.average(found, weights=[len(part) for part in parts]))

    best = 1.0 if settings.density == "bank" else max((None, *SHRINKAGES), key=likelihood)
    reference, between = cross_fit(data, lambda clips: fit(best, clips), judge_of(settings, pooling))
    return Calibrated(fit(best, x), reference, standardisation(reference), between)


def folds(recordings: Sequence[str], most: int = FOLDS) -> list[npt.NDArray[np.intp]]:
    """Indices of clips to hold out together, by recording, in at most so many folds.

    Raises:
        DataError: All clips come from one recording.
    """
    names = sorted(set(recordings))
    if len(names) < LEAST_CLIPS:
        raise DataError(
            f"{len(recordings)} normal clips of {len(names)} recording cannot be told apart into fitting and judging",
            "Give at least two recordings of normal sound for each section.",
        )
    place = {name: i % most for i, name in enumerate(names)}
    where = np.array([place[r] for r in recordings])
    return [np.flatnonzero(where == fold) for fold in range(min(most, len(names)))]


def standardisation(reference: npt.NDArray[np.floating]) -> Standardisation:
    """Mean and spread of reference scores; a spread of zero becomes a small one."""
    mean, std = float(np.mean(reference)), float(np.std(reference, ddof=1)) if len(reference) > 1 else 0.0
    return Standardisation(mean=mean, std=max(std, 1e-6 * max(1.0, abs(mean))))


def judge_of(settings: DensitySettings, pooling: FramePooling) -> Callable[[ModelOutputs, dict[str, Any]], Float]:
    """Raw scores of outputs under a scorer's arrays, shape (clips, rows, dimensions) to (clips,)."""
    use = MemberUse(
        member="member",
        density=settings.density,
        summary=settings.summary,
        scorer="scorer",
        pooling=pooling,
        standardisation=Standardisation(mean=0, std=1),
        reference="reference",
    )
    return lambda x, scorer: member_scores(np.asarray(x, dtype=np.float32), use, scorer)
