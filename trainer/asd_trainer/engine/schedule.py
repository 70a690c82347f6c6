"""Learning rates of steps: the warm-up schedule of Vaswani et al. 2017, and the one-cycle schedule."""

from __future__ import annotations

import math

RISE = 0.3
"""Share of the steps in which the one-cycle schedule rises; this and the next are the usual choice, torch's as well."""
FIRST, LAST = 1 / 25, 1 / 25 / 1e4
"""Where it begins and ends, as shares of the peak."""


def warmup_rate(step: int, peak: float, warmup_steps: int) -> float:
    """Learning rate of a step (section 5.3): linear up to the peak, then with the inverse square root of the step.

    Equal to factor · units^-½ · min(step^-½, step · warmup_steps^-1.5) for factor = peak · √(units · warmup_steps).

    Args:
        step: Counted from 1.
        peak: Rate at `warmup_steps`.
        warmup_steps: Where the rise ends.
    """
    return float(peak * min(step / warmup_steps, (warmup_steps / step) ** 0.5))


def one_cycle_rate(step: int, peak: float, steps: int) -> float:
    """Learning rate of a step (Smith and Topin 2019): half a cosine up to the peak, then half a cosine down to nothing.

    Args:
        step: Counted from 1.
        peak: The largest rate.
        steps: In all.
    """
    top = RISE * steps - 1
    place = step - 1
    if place <= top:
        return _between(FIRST * peak, peak, place / top if top > 0 else 1.0)
    return _between(peak, LAST * peak, (place - top) / (steps - 1 - top))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
