"""Edge of the band of a sound: codecs and telephones cut off what is above a frequency."""

from __future__ import annotations

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal

_SIZE = 1024
_STEP_DB = 25.0
"""A cut falls by at least this within `_WIDTH_HZ`, and what is above it stays so low; no machine's sound does."""
_WIDTH_HZ = 500.0
_LOWEST_HZ = 1000.0
_FLOOR = 1e-20
_SHORTEST = 16


def band_edge(samples: Signal, rate: int = SAMPLE_RATE) -> float | None:
    """Return the frequency in Hz above which a sound is cut off; None where its band is whole or it is too short.

    Args:
        samples: Shape (samples, channels) or (samples,); the mean power of the channels counts.
        rate: Hz.
    """
    columns = samples.reshape(len(samples), -1).astype(np.float64)
    frames = len(columns) // _SIZE
    if frames < _SHORTEST or not np.isfinite(columns).all():
        return None
    cut = columns[: frames * _SIZE].reshape(frames, _SIZE, -1) * np.hanning(_SIZE)[None, :, None]
    power = (np.abs(np.fft.rfft(cut, axis=1)) ** 2).mean(axis=(0, 2))
    level = 10 * np.log10(power / _SIZE + _FLOOR)
    hz = rate / _SIZE
    width = max(1, round(_WIDTH_HZ / hz))
    for place in range(round(_LOWEST_HZ / hz), len(level) - 2 * width):
        below = float(np.median(level[place - width : place]))
        if below - float(level[place + width :].max()) >= _STEP_DB:
            steep = np.flatnonzero(level[place - width : place + width] >= below - _STEP_DB / 2)
            return float((place - width + int(steep[-1])) * hz)
    return None
