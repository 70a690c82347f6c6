"""Several scores as one, each made comparable by frozen statistics of normal clips.

The paper normalises over the evaluation set; a box that hears one window at a time cannot, so means, spreads and
reference scores come from held-out normals at training time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Combination, Standardisation

Float = npt.NDArray[np.float64]


def standardise(scores: npt.NDArray[np.floating], by: Standardisation) -> Float:
    """z-scores; any shape."""
    return (np.asarray(scores, dtype=np.float64) - by.mean) / by.std


def tail_score(scores: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Float:
    """-log10 of the tail probability against sorted reference scores, strictly increasing.

    Between reference scores the empirical tail is interpolated; beyond the largest (and below the smallest) it goes on
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


def combine(
    scores: Float, standardisations: list[Standardisation], references: list[Float], combination: Combination
) -> Float:
    """One score a window from several.

    Args:
        scores: Raw scores, shape (parts, windows).
        standardisations: One for each part.
        references: Sorted raw reference scores of each part; `ranking` alone uses them.
        combination: Method and clipping. A single part is standardised and passed on unclipped.

    Returns:
        Shape (windows,).
    """
    if len(scores) == 1:
        return standardise(scores[0], standardisations[0])
    return _together(scores, standardisations, references, combination)


def combine_available(
    scores: Float, standardisations: list[Standardisation], references: list[Float], combination: Combination
) -> Float:
    """The same where not every part has judged every window, as when members hold out different clips.

    Args:
        scores: Raw scores, shape (parts, windows), NaN where a part has not judged.
        standardisations: One for each part.
        references: Sorted raw reference scores of each part.
        combination: As above.

    Returns:
        Shape (windows,): of the parts that have judged; NaN where none has.
    """
    if len(scores) == 1:
        return standardise(scores[0], standardisations[0])
    there = np.isfinite(scores)
    combined = np.full(scores.shape[1], np.nan)
    for pattern in np.unique(there, axis=1).T:
        parts, windows = np.flatnonzero(pattern), (there == pattern[:, None]).all(axis=0)
        if len(parts):
            combined[windows] = _together(
                scores[np.ix_(pattern, windows)],
                [standardisations[i] for i in parts],
                [references[i] for i in parts],
                combination,
            )
    return combined


def _together(
    scores: Float, standardisations: list[Standardisation], references: list[Float], combination: Combination
) -> Float:
    if combination.method == "ranking":
        tails = np.stack([tail_score(s, r) for s, r in zip(scores, references, strict=True)])
        return np.asarray(tails.mean(axis=0))
    z = np.stack([standardise(s, by) for s, by in zip(scores, standardisations, strict=True)])
    z = np.clip(z, -combination.clip, combination.clip)
    pick: dict[str, Callable[..., Float]] = {
        "average": np.mean,
        "median": np.median,
        "maximum": np.max,
        "minimum": np.min,
    }
    return pick[combination.method](z, axis=0)
