"""Banks of normal embeddings, as plain arrays for the service to measure distances to.

A bank is made of parts, such as source and target: each part's items have their neighbours within it, since three
target clips among a hundred of the source are as far from these as from one another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asd_agent.calibrate.settings import Arrays, DensitySettings, ModelOutputs
from asd_agent.inference.densities import cosine_distances, embeddings, unit

Float = npt.NDArray[np.float64]
LEAST_SHARE = 0.1
"""Smallest radius of an item, as a share of its part's median. Without it, two nearly equal clips would make every
other clip far."""
LEAST_RADIUS = 1e-6
"""Smallest radius at all, for a part of equal clips."""


def fit_bank(parts: Sequence[ModelOutputs], settings: DensitySettings, seed: int = 0) -> Arrays:
    """Make a bank.

    Args:
        parts: Model outputs of normal clips, each of shape (clips, rows, dimensions); empty ones are left out.
        settings: Where the embedding begins, whether distances are normalised, and how large a part may be.
        seed: Of the choice of centres.

    Returns:
        Arrays for `asd_agent.inference.densities`, with `usual_mean` and `usual_std` of all outputs,
        shape (dimensions,).

    Raises:
        ValueError: There is no model output.
    """
    present = [np.asarray(part, dtype=np.float64) for part in parts if len(part)]
    if not present:
        raise ValueError("a bank needs the output for at least one clip")
    together = np.concatenate([part.reshape(-1, part.shape[-1]) for part in present])
    mean, std = together.mean(axis=0), together.std(axis=0)
    std = np.where(std > 1e-8 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    found: Arrays = {"usual_mean": mean, "usual_std": std, "first": np.array(settings.first)}
    items = [_items(part, found, settings, seed) for part in present]
    found["bank"] = np.concatenate([vectors for vectors, _ in items]).astype(np.float32)
    if settings.normalise:
        radii = [_radii(vectors, clips) for vectors, clips in items]
        known = [r for r in radii if r is not None]
        usual = float(np.median(np.concatenate(known))) if known else 1.0
        found["radius"] = np.concatenate(
            [np.full(len(v), usual) if r is None else r for (v, _), r in zip(items, radii, strict=True)]
        )
    return found


def extend_bank(bank: Arrays, more: ModelOutputs) -> Arrays:
    """The bank with another part: clips of another place or condition, shape (clips, rows, dimensions)."""
    flat = np.asarray(more, dtype=np.float64).reshape(-1, more.shape[-1])
    vectors = embeddings(flat, bank)
    found = bank | {"bank": np.concatenate([bank["bank"], vectors.astype(np.float32)])}
    if "radius" in bank:
        radii = _radii(vectors, np.repeat(np.arange(len(more)), more.shape[1]))
        if radii is None:
            radii = np.full(len(vectors), float(np.median(bank["radius"])))
        found["radius"] = np.concatenate([bank["radius"], radii])
    return found


def _items(part: Float, arrays: Arrays, settings: DensitySettings, seed: int) -> tuple[Float, npt.NDArray[np.intp]]:
    """A part's items as unit vectors, and the clip of each; a centre counts as a clip of its own."""
    vectors = embeddings(part.reshape(-1, part.shape[-1]), arrays)
    if settings.clusters is None or len(vectors) <= settings.clusters:
        return vectors, np.repeat(np.arange(len(part)), part.shape[1])
    from sklearn.cluster import KMeans

    centres = KMeans(settings.clusters, n_init=4, random_state=seed).fit(vectors).cluster_centers_
    return unit(centres), np.arange(len(centres))


def _radii(vectors: Float, clips: npt.NDArray[np.intp]) -> Float | None:
    """Each item's distance to the nearest item of another clip, shape (items,); None where there is no other clip."""
    if len(np.unique(clips)) < 2:
        return None
    distances = cosine_distances(vectors, vectors)
    distances[clips[:, None] == clips[None, :]] = np.inf
    nearest = distances.min(axis=1)
    return np.asarray(np.maximum(nearest, max(LEAST_SHARE * float(np.median(nearest)), LEAST_RADIUS)))
