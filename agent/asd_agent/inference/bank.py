"""How far an embedding lies from the nearest of a bank of normal ones, told in the usual distance there.

Cosine distances are divided by the bank item's own distance to its nearest neighbour in its bank (local density
normalisation with K = 1): where normal sound is spread wide, a wide distance means little.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.floating]]


def bank_distance(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """The smallest normalised distance to a bank item, min over m of (1 - cos(x, b_m)) / radius_m.

    Args:
        x: Observations, shape (n, dimensions).
        scorer: `bank`: unit vectors, shape (M, D), `radius` (M,), without which distances are plain, and `first`, a
            scalar: the column of the observation where the embedding begins, 0 where it is not there.

    Returns:
        Shape (n,).
    """
    found = cosine_distances(embeddings(x, scorer), scorer["bank"])
    if "radius" in scorer:
        found = found / scorer["radius"]
    return np.asarray(found.min(axis=1))


def embeddings(x: npt.NDArray[np.floating], scorer: Arrays) -> Float:
    """The embeddings in observations as unit vectors, shape (n, dimensions) to (n, D)."""
    return unit(np.asarray(x)[:, int(scorer["first"]) if "first" in scorer else 0 :])


def unit(x: npt.NDArray[np.floating]) -> Float:
    """Rows at length 1; a row of zeros stays and is at distance 1 from everything."""
    x64 = np.asarray(x, dtype=np.float64)
    return np.asarray(x64 / np.maximum(np.linalg.norm(x64, axis=1, keepdims=True), 1e-12))


def cosine_distances(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> Float:
    """1 - cos of unit vectors, shapes (n, D) and (M, D) to (n, M); rounding makes none negative."""
    return np.asarray(np.maximum(1.0 - np.asarray(a, dtype=np.float64) @ np.asarray(b, dtype=np.float64).T, 0.0))
