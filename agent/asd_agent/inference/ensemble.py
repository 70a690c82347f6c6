"""Ensembles: several scores as one, each made comparable by frozen statistics of normal clips.

The paper normalises over the evaluation set. A box receives one window at a time and cannot, so means, spreads and
reference scores come from held-out normals at training time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Combination, Standardisation
from asd_agent.inference.densities import registered

Float = npt.NDArray[np.float64]
_Z_METHODS: Mapping[str, Callable[..., Float]] = {
    "average": np.mean,
    "median": np.median,
    "maximum": np.max,
    "minimum": np.min,
}
"""Combinations of z-scores; `ranking` combines tail probabilities instead."""


def standardise(scores: npt.NDArray[np.floating], by: Standardisation) -> Float:
    """Return z-scores; any shape."""
    return (np.asarray(scores, dtype=np.float64) - by.mean) / by.std


def bent(z: Float, at: float) -> Float:
    """Return z-scores, any shape, that go on logarithmically beyond ±at: strictly increasing, without a step or a kink.

    >>> bent(np.array([-1.0, 20.0, 20.0 * np.e]), 20.0).round(6).tolist()
    [-1.0, 20.0, 40.0]
    """
    beyond = np.sign(z) * at * (1.0 + np.log(np.maximum(np.abs(z), at) / at))
    return np.where(np.abs(z) <= at, z, beyond)


def compressed(z: Float) -> Float:
    """Return sign(z) · log(1 + |z|), any shape: one large score cannot drown the others, and order stays."""
    return np.asarray(np.sign(z) * np.log1p(np.abs(z)))


_SCALES: Mapping[str, Callable[[Float, float], Float]] = {
    "linear": bent,
    "log": lambda z, _: compressed(z),
    "clip": lambda z, at: np.clip(z, -at, at),
}


def tail_score(scores: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Float:
    """Return -log10 of the tail probability against sorted reference scores, strictly increasing.

    Between reference scores the empirical tail is interpolated. Beyond the largest and below the smallest it continues
    exponentially, with the mean spacing of the upper fifth as its scale.

    Args:
        scores: Shape (n,).
        reference: Sorted scores of normal clips, shape (m,), m ≥ 1.
    """
    ref = np.unique(np.asarray(reference, dtype=np.float64))
    m = len(ref)
    level = -np.log10((m - np.arange(m) - 0.5) / m)
    upper = ref[-max(2, m // 5) :]
    scale = max(float(np.mean(upper - upper[0])), 1e-6 * max(1.0, abs(float(ref[-1]))))
    x = np.asarray(scores, dtype=np.float64)
    inside = np.interp(x, ref, level)
    above = np.maximum(x - ref[-1], 0.0) / (scale * np.log(10))
    below = np.minimum(x - ref[0], 0.0) / (scale * np.log(10))
    return np.asarray(inside + above + below)


def ensemble_score(
    scores: Float, standardisations: list[Standardisation], references: list[Float], combination: Combination
) -> Float:
    """Combine several scores of each window.

    Args:
        scores: Raw scores, shape (members, windows): of members, or of experts.
        standardisations: One for each member.
        references: Sorted raw reference scores of each member; `ranking` alone uses them.
        combination: Method and scale. A single member is standardised and nothing else.

    Returns:
        Shape (windows,).
    """
    if len(scores) == 1:
        return standardise(scores[0], standardisations[0])
    return _combine(scores, standardisations, references, combination)


def available_ensemble_score(
    scores: Float, standardisations: list[Standardisation], references: list[Float], combination: Combination
) -> Float:
    """Combine the scores that exist where members hold out different clips.

    Args:
        scores: Raw scores, shape (members, windows), NaN where a member has no score.
        standardisations: One for each member.
        references: Sorted raw reference scores of each member.
        combination: Method and scale, as for `ensemble_score`.

    Returns:
        Shape (windows,), combined from the members that have a score; NaN where none has.
    """
    if len(scores) == 1:
        return standardise(scores[0], standardisations[0])
    present = np.isfinite(scores)
    combined = np.full(scores.shape[1], np.nan)
    for pattern in np.unique(present, axis=1).T:
        members, windows = np.flatnonzero(pattern), (present == pattern[:, None]).all(axis=0)
        if len(members):
            combined[windows] = _combine(
                scores[np.ix_(pattern, windows)],
                [standardisations[i] for i in members],
                [references[i] for i in members],
                combination,
            )
    return combined


def _combine(
    scores: Float, standardisations: list[Standardisation], references: list[Float], combination: Combination
) -> Float:
    if combination.method == "ranking":
        tails = np.stack([tail_score(s, r) for s, r in zip(scores, references, strict=True)])
        return np.asarray(tails.mean(axis=0))
    z = np.stack([standardise(s, by) for s, by in zip(scores, standardisations, strict=True)])
    z = registered(_SCALES, combination.scale, "scale")(z, combination.clip)
    return registered(_Z_METHODS, combination.method, "combination")(z, axis=0)
