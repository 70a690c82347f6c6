"""From frame scores to a window's score (Eq. 3 of the paper): trimming, then a softmax-weighted mean.

The print multiplies by 1/T' and by weights that already sum to 1; for windows of one length that is a constant factor
and is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import FramePooling


def pool_frames(frames: npt.NDArray[np.float64], pooling: FramePooling) -> npt.NDArray[np.float64]:
    """Pool frame scores.

    Args:
        frames: Shape (windows, frames), higher is less normal.
        pooling: Shares to trim at either end, and alpha.

    Returns:
        Shape (windows,).
    """
    count = frames.shape[1]
    low, high = int(pooling.trim_low * count), int(pooling.trim_high * count)
    kept = np.sort(frames, axis=1)[:, low : count - high]
    if pooling.alpha is None:
        return np.asarray(kept[:, -1])
    exponent = pooling.alpha * (kept - kept.max(axis=1, keepdims=True))
    weights = np.exp(exponent)
    return np.asarray((kept * weights).sum(axis=1) / weights.sum(axis=1))
