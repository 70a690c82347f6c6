"""The warm-up schedule of Vaswani et al. 2017, section 5.3, told by its peak."""

from __future__ import annotations


def warmup_rate(step: int, peak: float, warmup_steps: int) -> float:
    """Learning rate of a step: linear up to the peak, then with the inverse square root of the step.

    Equal to factor · units^-½ · min(step^-½, step · warmup_steps^-1.5) for factor = peak · √(units · warmup_steps).

    Args:
        step: Counted from 1.
        peak: Rate at `warmup_steps`.
        warmup_steps: Where the rise ends.
    """
    return float(peak * min(step / warmup_steps, (warmup_steps / step) ** 0.5))
