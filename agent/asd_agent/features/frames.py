"""Frames of a signal and their spectra, transformed in blocks that stay in the processor's second cache.

Transforms are float64: float32 adds noise 140 dB below the loudest tone, and quiet bands beside it are then off by some
hundredths of a decibel. Only what is summed after the transform is float32.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

_BLOCK_SAMPLES = 1 << 16
"""Samples of a block: 0.5 MB of frames and 0.5 MB of spectra, the second cache of a small processor."""
_MOST_KEPT = 4
"""Frame lengths whose buffers a thread keeps, each 1 MB."""
_RFFT_HAS_OUT = int(np.__version__.split(".")[0]) >= 2


@lru_cache(maxsize=16)
def hann(n_fft: int) -> npt.NDArray[np.float64]:
    """Periodic Hann window, shape (n_fft,)."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
    window.flags.writeable = False
    return np.asarray(window)


def framed(
    signal: npt.NDArray[np.floating],
    n_fft: int,
    hop_length: int,
    *,
    center: bool,
    pad_mode: Literal["constant", "reflect"] = "constant",
) -> npt.NDArray[np.floating]:
    """Return a view of a signal's frames, shape (samples,) to (frames, n_fft); arguments as in `FeatureSpec`.

    Raises:
        ValueError: The signal is too short for one frame.
    """
    x = np.asarray(signal)
    if center:
        half = n_fft // 2
        if pad_mode == "reflect" and len(x) <= half:
            raise ValueError(f"{len(x)} samples are too few to reflect {half}")
        x = np.pad(x, half, mode=pad_mode)
    if len(x) < n_fft:
        raise ValueError(f"{len(x)} samples are fewer than one frame of {n_fft}")
    return np.lib.stride_tricks.sliding_window_view(x, n_fft)[::hop_length]


def spectra(frames: npt.NDArray[np.floating]) -> Iterator[tuple[slice, npt.NDArray[np.complex128]]]:
    """Transform Hann-windowed frames block by block.

    Args:
        frames: Shape (frames, n_fft).

    Yields:
        Frames of the block, and their spectra, shape (frames of the block, n_fft // 2 + 1). They are in a buffer of
        this thread that the next block overwrites: finish with one signal before the next.
    """
    n_fft = frames.shape[1]
    at_once = max(1, _BLOCK_SAMPLES // n_fft)
    windowed, transformed = _BUFFERS.of(at_once, n_fft)
    for start in range(0, len(frames), at_once):
        part = slice(start, min(start + at_once, len(frames)))
        count = part.stop - start
        block = np.multiply(frames[part], hann(n_fft), out=windowed[:count])
        if _RFFT_HAS_OUT:
            np.fft.rfft(block, axis=1, out=transformed[:count])
        else:
            transformed[:count] = np.fft.rfft(block, axis=1)
        yield part, transformed[:count]


class _Buffers(threading.local):
    """Buffers of one thread. Allocated for every signal, their pages would cost as much time as the transforms."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], tuple[npt.NDArray[np.float64], npt.NDArray[np.complex128]]] = {}

    def of(self, frames: int, n_fft: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.complex128]]:
        if (frames, n_fft) not in self._kept:
            if len(self._kept) == _MOST_KEPT:
                self._kept.clear()
            self._kept[frames, n_fft] = np.empty((frames, n_fft)), np.empty((frames, n_fft // 2 + 1), np.complex128)
        return self._kept[frames, n_fft]


_BUFFERS = _Buffers()
