"""Augmentation of waveforms in training: noise, volume and mixup (section 3.2 of the paper)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from asd_trainer.engine.device_dataset import send
from asd_trainer.features.settings import SoundAugmentation


def augment(x: Tensor, settings: SoundAugmentation, generator: torch.Generator) -> Tensor:
    """Return items with Gaussian noise added to some and the volume of some changed, shape (items, samples)."""
    low, high = settings.snr_db
    snr = low + (high - low) * _uniform(len(x), generator)
    noisy = (_uniform(len(x), generator) < settings.noise).float()
    level = x.square().mean(dim=1).sqrt() * 10 ** (-snr / 20) * noisy
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    decibels = settings.volume_db * (2 * _uniform(len(x), generator) - 1)
    rescaled = (_uniform(len(x), generator) < settings.volume).float()
    gain: Tensor = 10 ** (decibels * rescaled / 20)
    return (x + level[:, None] * noise) * gain[:, None]


def mixup(
    x: Tensor, labels: Tensor, alpha: float, generator: torch.Generator, host: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mix each item and its label with another of the batch by a share from Beta(α, α) (Zhang et al. 2018).

    Args:
        x: Signals, shape (items, samples).
        labels: Labels, shape (items,).
        alpha: α; 0 mixes nothing.
        generator: Generator on the device of the items.
        host: Generator of the shares, on the CPU; `generator` where it is not given.
    """
    if alpha == 0:
        return x, labels
    share = beta(len(x), alpha, host or generator, x.device)
    other = torch.randperm(len(x), generator=generator, device=x.device)
    return share[:, None] * x + (1 - share[:, None]) * x[other], share * labels + (1 - share) * labels[other]


def beta(count: int, alpha: float, host: torch.Generator, device: torch.device) -> Tensor:
    """Draw shares from Beta(α, α) on the CPU and send them to a device, shape (count,), without waiting for it."""
    uniform = torch.rand(count, generator=host, dtype=torch.float64)
    return send(betaincinv(alpha, alpha, uniform.numpy()).astype(np.float32), device)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device)
