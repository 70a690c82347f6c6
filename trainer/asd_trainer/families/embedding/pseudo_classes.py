"""Classes out of a single one: sounds altered in ways that a network can learn to tell from the original.

Where a data set has one class of normal sound there is nothing to tell apart. What a network learns by these says how a
sound is spread over frequency and time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from asd_trainer.engine.device_dataset import send

TILT_DB_PER_OCTAVE = 3.0
_PIVOT_HZ = 1000.0


def altered(signals: Tensor, how: Tensor, sample_rate: int) -> Tensor:
    """Each signal altered in its own way.

    Args:
        signals: Shape (batch, samples).
        how: Place of the alteration among `ALTERATIONS`, shape (batch,), on the CPU: nothing waits for a device.
        sample_rate: Hz.
    """
    found = signals.clone()
    for place, alter in enumerate(ALTERATIONS):
        rows = np.flatnonzero(how.numpy() == place)
        if len(rows):
            where = send(rows, signals.device)
            found = found.index_copy(0, where, alter(signals[where], sample_rate))
    return found


def _unaltered(x: Tensor, _: int) -> Tensor:
    return x


def _faster(x: Tensor, _: int, speed: float = 1.12) -> Tensor:
    """Played faster, its beginning again at the end; pitch and rhythm rise."""
    shorter = round(x.shape[1] / speed)
    played = functional.interpolate(x[:, None], size=shorter, mode="linear", align_corners=True)[:, 0]
    return torch.cat([played, played], dim=1)[:, : x.shape[1]]


def _slower(x: Tensor, _: int, speed: float = 1.12) -> Tensor:
    """Played slower; pitch and rhythm fall."""
    kept = round(x.shape[1] / speed)
    return functional.interpolate(x[:, None, :kept], size=x.shape[1], mode="linear", align_corners=True)[:, 0]


def _tilted(x: Tensor, sample_rate: int, decibels: float) -> Tensor:
    """So many decibels an octave more towards the treble, at the same level as before."""
    spectrum = torch.fft.rfft(x)
    hz = torch.fft.rfftfreq(x.shape[1], 1.0 / sample_rate, device=x.device).clamp(min=20.0)
    tilted = torch.fft.irfft(spectrum * 10 ** (decibels / 20.0 * torch.log2(hz / _PIVOT_HZ)), n=x.shape[1])
    level = tilted.square().mean(dim=1, keepdim=True).clamp(min=1e-20)
    found: Tensor = tilted * (x.square().mean(dim=1, keepdim=True) / level).sqrt()
    return found


def _brighter(x: Tensor, sample_rate: int) -> Tensor:
    return _tilted(x, sample_rate, TILT_DB_PER_OCTAVE)


def _darker(x: Tensor, sample_rate: int) -> Tensor:
    return _tilted(x, sample_rate, -TILT_DB_PER_OCTAVE)


def _reversed(x: Tensor, _: int) -> Tensor:
    return x.flip(1)


ALTERATIONS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    _unaltered,
    _faster,
    _slower,
    _brighter,
    _darker,
    _reversed,
)
"""The first leaves a sound as it is."""
