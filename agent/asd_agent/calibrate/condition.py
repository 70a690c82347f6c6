"""A section and domain, from observations of its normal clips to scorers, standardisation and reference scores.

No clip's own score enters a statistic unless the scorer was fitted without its recording: reference scores are
cross-fitted. A domain with a few clips gives a location only, by leaving one clip out at a time; spread and tail are
the source's, and the result is provisional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import FramePooling, MemberUse, Standardisation
from asd_agent.calibrate.density import (
    SHRINKAGES,
    Arrays,
    DensitySettings,
    Observations,
    choose_shrinkage,
    fit_density,
    mean_log_likelihood,
    shift_density,
)
from asd_agent.errors import DataError
from asd_agent.scoring.scorer import member_scores

Float = npt.NDArray[np.float64]
FOLDS = 10
PROVISIONAL_BELOW = 10
"""A domain with fewer clips gives a location only and borrows the rest from the source."""
LEAST_CLIPS = 2


@dataclass(frozen=True)
class DomainData:
    """Observations of held-out normal clips by one member.

    Attributes:
        observations: Shape (clips, rows, dimensions).
        recordings: Which recording each clip comes from; clips of one recording are never on both sides of a fold.
    """

    observations: Observations
    recordings: Sequence[str]


@dataclass(frozen=True)
class Calibrated:
    """One member in one section and domain.

    Attributes:
        scorer: Arrays of its density.
        reference: Cross-fitted raw scores in the clips' order, shape (clips,); the source's, moved, if provisional.
        standardisation: Of raw scores.
    """

    scorer: Arrays
    reference: Float
    standardisation: Standardisation


def calibrate_source(data: DomainData, settings: DensitySettings, pooling: FramePooling, seed: int = 0) -> Calibrated:
    """Fit one member's scorer on a domain with clips enough.

    Raises:
        DataError: Fewer than two recordings: no score could be had without its own fit.
    """
    x = np.asarray(data.observations)
    judge = _judge(settings, pooling)
    reference = np.empty(len(x))
    for held_out in folds(data.recordings):
        fitted = fit_density(np.delete(x, held_out, axis=0), settings, seed)
        reference[held_out] = judge(x[held_out], fitted)
    return Calibrated(fit_density(x, settings, seed), reference, standardisation(reference))


def calibrate_target(
    target: DomainData, source: Calibrated, settings: DensitySettings, pooling: FramePooling
) -> Calibrated:
    """Fit a scorer for a domain with a few clips, by shrinkage to the source's.

    The location is the mean score of clips left out; with n clips it is known to spread/√n, which widens the spread.
    """
    x = np.asarray(target.observations)
    judge = _judge(settings, pooling)
    share = choose_shrinkage(source.scorer, x, settings)
    left_out = [
        float(
            judge(
                x[[i]],
                shift_density(source.scorer, np.delete(x, i, axis=0), share) if len(x) > 1 else source.scorer,
            )[0]
        )
        for i in range(len(x))
    ]
    location = float(np.mean(left_out))
    spread = source.standardisation.std * float(np.sqrt(1.0 + 1.0 / len(x)))
    z = (source.reference - source.standardisation.mean) / source.standardisation.std
    return Calibrated(
        shift_density(source.scorer, x, share),
        location + spread * z,
        Standardisation(mean=location, std=spread),
    )


def calibrate_near(
    data: DomainData, source: Arrays, settings: DensitySettings, pooling: FramePooling, seed: int = 0
) -> Calibrated:
    """Fit one member's scorer to a fair number of clips of another place.

    Either a density of their own, or the source's covariances with means moved by a share: whichever finds the clips
    that are held out likelier. Some dozen clips tell where normal is long before they tell its shape.

    Raises:
        DataError: Fewer than two recordings.
    """
    if settings.density == "mean":
        return calibrate_source(data, settings, pooling, seed)
    x = np.asarray(data.observations)

    def fit(share: float | None, clips: Observations) -> Arrays:
        return fit_density(clips, settings, seed) if share is None else shift_density(source, clips, share)

    parts = folds(data.recordings)

    def likelihood(share: float | None) -> float:
        found = [
            mean_log_likelihood(fit(share, np.delete(x, held_out, axis=0)), x[held_out], settings) for held_out in parts
        ]
        return float(np.average(found, weights=[len(part) for part in parts]))

    best = max((None, *SHRINKAGES), key=likelihood)
    judge, reference = _judge(settings, pooling), np.empty(len(x))
    for held_out in parts:
        reference[held_out] = judge(x[held_out], fit(best, np.delete(x, held_out, axis=0)))
    return Calibrated(fit(best, x), reference, standardisation(reference))


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


def _judge(settings: DensitySettings, pooling: FramePooling) -> Callable[[Observations, dict[str, Any]], Float]:
    use = MemberUse(
        member="",
        density=settings.density,
        scorer="",
        pooling=pooling,
        standardisation=Standardisation(mean=0, std=1),
        reference="",
    )
    return lambda x, scorer: member_scores(np.asarray(x, dtype=np.float32), use, scorer)
