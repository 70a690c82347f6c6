"""Learning-rate curves of torch's schedulers beside their formulas and the values at steps worked by hand."""

import math

import pytest
import torch

from asd_trainer.engine.schedule import MakeScheduler, constant, one_cycle, warmup


def curve(make: MakeScheduler, peak: float, steps: int) -> list[tuple[float, float]]:
    """Learning rate and first beta of Adam at each step, from step 1."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=peak, betas=(0.9, 0.999))
    scheduler, found = make(optimizer), []
    for step in range(1, steps + 1):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]))
        optimizer.step()
        if step < steps:
            scheduler.step()
    return found


def rates(make: MakeScheduler, peak: float, steps: int) -> list[float]:
    return [rate for rate, _ in curve(make, peak, steps)]


@pytest.mark.parametrize(("step", "rate"), [(1, 0.002 / 800), (400, 0.001), (800, 0.002), (3200, 0.001)])
def test_the_warmup_rises_linearly_to_its_peak_and_falls_with_the_root(step, rate):
    assert rates(warmup(800), 0.002, 3200)[step - 1] == pytest.approx(rate, rel=1e-12)


def test_the_warmup_is_the_schedule_of_vaswani_given_by_its_peak():
    units, steps, factor = 256, 80, 1.0
    peak = factor / (units * steps) ** 0.5
    noam = [factor * units**-0.5 * min(step**-0.5, step * steps**-1.5) for step in range(1, 201)]
    assert rates(warmup(steps), peak, 200) == pytest.approx(noam, rel=1e-12)


def one_cycle_by_hand(step: int, peak: float, steps: int) -> float:
    """Half a cosine from 1/25 of the peak up over 30 % of the steps, then half a cosine down to 1/25e4 of it."""

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    top, place = 0.3 * steps - 1, step - 1
    if place <= top:
        return between(peak / 25, peak, place / top if top > 0 else 1.0)
    return between(peak, peak / 25 / 1e4, (place - top) / (steps - 1 - top))


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 120, 8000])
def test_the_one_cycle_rates_are_those_of_the_formula(steps):
    """Smith and Topin 2019 as trainings of version 0.1.0 computed it; sums of cosines differ in the last digits."""
    wanted = [one_cycle_by_hand(step, 2e-3, steps) for step in range(1, steps + 1)]
    assert rates(one_cycle(steps), 2e-3, steps) == pytest.approx(wanted, rel=1e-9)


def test_one_cycle_moves_the_first_beta_against_the_rate():
    """The published schedule cycles momentum too; version 0.1.0 kept 0.9, which was a departure from it."""
    found = curve(one_cycle(100), 2e-3, 100)
    betas = [beta for _, beta in found]
    assert (betas[0], min(betas), betas[-1]) == pytest.approx((0.95, 0.85, 0.95))
    assert betas.index(min(betas)) == [r for r, _ in found].index(max(r for r, _ in found)) == 29


def test_the_constant_schedule_keeps_rate_and_beta():
    assert curve(constant(), 2e-4, 20) == [(2e-4, 0.9)] * 20
