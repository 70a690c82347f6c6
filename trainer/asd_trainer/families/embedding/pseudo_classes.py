"""Pseudo-classes from a single class: transformed sounds that a network learns to tell from the original.

A data set with one class of normal sound leaves nothing to tell apart. By these transforms a network learns how a sound
is distributed over frequency and time.
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


def transformed(signals: Tensor, which: Tensor, sample_rate: int) -> Tensor:
    """Return each signal under its own transform.

    Args:
        signals: Shape (batch, samples).
        which: Place of each transform among `TRANSFORMS`, shape (batch,), on the CPU: nothing waits for a device.
        sample_rate: Sample rate in Hz.
    """
    found = signals.clone()
    for place, transform in enumerate(TRANSFORMS):
        rows = np.flatnonzero(which.numpy() == place)
        if len(rows):
            where = send(rows, signals.device)
            found = found.index_copy(0, where, transform(signals[where], sample_rate))
    return found


def _unchanged(x: Tensor, _: int) -> Tensor:
    return x


def _faster(x: Tensor, _: int, speed: float = 1.12) -> Tensor:
    """Speed up, with the beginning repeated at the end; pitch and rhythm rise."""
    shorter = round(x.shape[1] / speed)
    played = functional.interpolate(x[:, None], size=shorter, mode="linear", align_corners=True)[:, 0]
    return torch.cat([played, played], dim=1)[:, : x.shape[1]]


def _slower(x: Tensor, _: int, speed: float = 1.12) -> Tensor:
    """Slow down; pitch and rhythm fall."""
    kept = round(x.shape[1] / speed)
    return functional.interpolate(x[:, None, :kept], size=x.shape[1], mode="linear", align_corners=True)[:, 0]


def _tilted(x: Tensor, sample_rate: int, decibels: float) -> Tensor:
    """Raise the treble by some decibels an octave, at the same overall level."""
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


TRANSFORMS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    _unchanged,
    _faster,
    _slower,
    _brighter,
    _darker,
    _reversed,
)
"""The first leaves a sound unchanged."""
