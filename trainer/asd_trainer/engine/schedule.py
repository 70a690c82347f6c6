"""Optimiser settings of a training and its learning-rate schedule, from torch's own schedulers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

MakeScheduler = Callable[[Optimizer], LRScheduler]
"""Builds a scheduler for an optimiser whose groups hold their peak learning rates as `lr`."""


@dataclass(frozen=True)
class TrainingSchedule:
    """Settings of the optimiser over a whole training.

    Attributes:
        steps: Number of batches.
        learning_rate: Peak rate; groups of weights take a share of it.
        scheduler: Course of the rate over the steps.
        betas: Coefficients of Adam.
        eps: Stabiliser of Adam.
        clip_norm: Longest gradient; longer ones are scaled down. None leaves them.
        weight_decay: Decay of AdamW (Loshchilov and Hutter 2019); 0 is plain Adam.
    """

    steps: int
    learning_rate: float
    scheduler: MakeScheduler
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-9
    clip_norm: float | None = None
    weight_decay: float = 0.0


def constant() -> MakeScheduler:
    """Return the schedule that keeps the peak rate."""
    return lambda optimizer: LambdaLR(optimizer, lambda _: 1.0)


def warmup(steps: int) -> MakeScheduler:
    """Return the schedule of Vaswani et al. 2017, section 5.3: a linear rise, then the inverse square root of the step.

    The rate of step s is peak · min(s / steps, √(steps / s)). It equals
    factor · units^-½ · min(s^-½, s · steps^-1.5) for factor = peak · √(units · steps).

    Args:
        steps: Length of the rise; the peak is reached at this step.

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.002)
        >>> scheduler = warmup(4)(optimizer)
        >>> scheduler.get_last_lr()  # of the first step
        [0.0005]
    """
    return lambda optimizer: LambdaLR(optimizer, lambda done: min((done + 1) / steps, (steps / (done + 1)) ** 0.5))


def one_cycle(steps: int) -> MakeScheduler:
    """Return the one-cycle schedule (Smith and Topin 2019) with the defaults of torch, which the paper used.

    The rate rises by half a cosine over 30 % of the steps and then falls to almost nothing. The first beta of Adam
    moves against it, from 0.95 down to 0.85 and back.

    Args:
        steps: Number of batches.
    """
    return lambda optimizer: OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps)
