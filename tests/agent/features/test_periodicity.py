"""A rhythm is found with its true period, and nothing else has one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from asd_agent.bundle.manifest import Member
from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_agent.features.periodicity import autocorrelation, period
from asd_agent.inference.explanation import Explanation, explain
from asd_trainer.simulator.render import render

SPEC = FeatureSpec()
FRAMES = 313
RATE = 16_000


def events(every: float, count: int, seed: int = 0) -> np.ndarray:
    error = np.abs(np.random.default_rng(seed).normal(size=FRAMES))
    at = np.rint(20 + every * np.arange(count)).astype(int)
    error[at[at < FRAMES]] += 12.0
    return np.convolve(error, [0.25, 0.5, 0.25], mode="same")


@pytest.mark.parametrize("every", [4.0, 12.5, 25.0, 60.0, 90.0])
def test_equal_distances_are_found_to_a_part_of_a_frame(every):
    assert period(events(every, 100)) == pytest.approx(every, rel=0.02)


def test_noise_has_no_period():
    rng = np.random.default_rng(1)
    assert [period(rng.normal(size=FRAMES)) for _ in range(300)] == [None] * 300


def test_an_event_two_events_and_a_slow_swell_have_no_period():
    assert period(events(50, 1)) is None
    assert period(events(120, 2)) is None
    assert period(np.linspace(0.0, 1.0, FRAMES) ** 2) is None
    assert period(np.ones(FRAMES)) is None


def test_unequal_distances_have_no_period():
    error = np.abs(np.random.default_rng(2).normal(size=FRAMES))
    error[[10, 31, 80, 97, 160, 172, 251, 300]] += 12.0
    assert period(error) is None


def test_autocorrelation_of_a_sine_is_a_cosine():
    r = autocorrelation(np.sin(2 * np.pi * np.arange(3000) / 30), 61)
    np.testing.assert_allclose(r, np.cos(2 * np.pi * np.arange(61) / 30), atol=0.02)


class Errors:
    """Stands in for a network: the error of a cell is its distance from the mean of normal clips."""

    def __init__(self, normals: list[np.ndarray]) -> None:
        frames = np.concatenate([log_mel(x, SPEC) for x in normals])
        self._mean, self._std = frames.mean(axis=0), frames.std(axis=0)
        errors = np.concatenate([self.of(x) for x in normals])
        self.scorer = {"usual_mean": errors.mean(axis=0), "usual_std": errors.std(axis=0)}

    def of(self, x: np.ndarray) -> np.ndarray:
        return np.abs(log_mel(x, SPEC) - self._mean) / self._std

    def explain(self, x: np.ndarray) -> Explanation:
        return explain(Member(id="ae", kind="autoencoder", features=SPEC), self.of(x), self.scorer, x)


def test_knocks_are_told_with_their_band_and_distance():
    rng = np.random.default_rng(3)
    normals = [0.02 * rng.normal(size=10 * RATE) for _ in range(4)]
    ring = np.exp(-np.arange(1600) / 200.0) * np.sin(2 * np.pi * 3000 * np.arange(1600) / RATE)
    knocks = np.convolve(np.arange(10 * RATE) % round(0.8 * RATE) == 100, ring)[: 10 * RATE]
    said = Errors(normals).explain(0.02 * rng.normal(size=10 * RATE) + 0.5 * knocks)
    assert said.period_s == pytest.approx(0.8, rel=0.01)
    assert said.text.endswith("kHz, every 0.8 s")
    assert any(low <= 3000 <= high for low, high in said.bands_hz)


def test_a_rhythm_too_fast_for_frames_is_not_told_as_a_slower_one():
    rng = np.random.default_rng(4)
    t = np.arange(10 * RATE) / RATE
    normals = [0.02 * rng.normal(size=t.size) for _ in range(4)]
    buzz = 0.2 * (1 + np.sin(2 * np.pi * 21.0 * t)) ** 4 * rng.normal(size=t.size) / 4
    errors = Errors(normals)
    assert period(errors.of(0.02 * rng.normal(size=t.size) + buzz).mean(axis=1)) == pytest.approx(3, abs=0.2)
    assert errors.explain(0.02 * rng.normal(size=t.size) + buzz).period_s == pytest.approx(1 / 21.0, rel=0.03)


@cache
def simulated(machine: str, section: int) -> Errors:
    """Errors against normal clips of a simulated machine."""
    return Errors([render(machine, section, "source", seed=100 + s)[0] for s in range(6)])


@pytest.mark.parametrize(("machine", "fault"), [("valve", "chatter"), ("valve", "wear"), ("fan", "blade")])
def test_simulated_faults_are_told_with_the_rate_that_the_simulator_gave_them(machine, fault):
    told = []
    for section in range(3):
        errors = simulated(machine, section)
        for seed in range(4):
            x, run = render(machine, section, "source", seed=seed, fault=fault, severity=1.0)
            true = int(run["period"]) / 1000 if machine == "valve" else 60 / int(run["speed"])
            said = errors.explain(x)
            if said.period_s is not None:
                told.append(said.period_s / true)
    assert len(told) >= 2
    np.testing.assert_allclose(told, 1.0, rtol=0.02)
