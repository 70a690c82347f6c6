"""Schedules at steps worked by hand, and beside those of torch."""

import pytest
import torch

from asd_trainer.engine.schedule import one_cycle_rate, warmup_rate


@pytest.mark.parametrize(
    ("step", "rate"),
    [(1, 0.002 / 8000), (4000, 0.001), (8000, 0.002), (32_000, 0.001), (50_000, 0.0008)],
)
def test_the_rate_rises_linearly_to_its_peak_and_falls_with_the_root(step, rate):
    assert warmup_rate(step, 0.002, 8000) == pytest.approx(rate, rel=1e-12)


def test_it_is_vaswanis_schedule_told_by_its_peak():
    units, warmup, factor = 256, 8000, 1.0
    peak = factor / (units * warmup) ** 0.5
    for step in (1, 100, 8000, 20_000):
        noam = factor * units**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert warmup_rate(step, peak, warmup) == pytest.approx(noam, rel=1e-12)


@pytest.mark.parametrize("steps", [10, 120, 8000])
def test_one_cycle_is_torchs(steps):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, cycle_momentum=False)
    for step in range(1, steps + 1):
        assert one_cycle_rate(step, 2e-3, steps) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < steps:
            scheduler.step()
