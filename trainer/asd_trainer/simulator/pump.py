"""A centrifugal pump: vane-pass tones, shaft orders, turbulent water and an induction motor.

Faults: `cavitation` (bubbles collapse in bursts, most of them as a vane passes), `bearing` (outer race), `leak` (a fine
jet: high hiss), `misalignment` (second shaft order, tones that beat with it), `clogging` (vane tones fade, the flow is
unsteady).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_trainer.simulator.defects import Bearing, OuterRaceDefect
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import (
    Hiss,
    Noise,
    Ringing,
    Shaft,
    SlowNoise,
    Turning,
    Wave,
    bump,
    poisson,
    spectrum,
    strikes,
)
from asd_trainer.simulator.seeding import SeedPath

SPEEDS: Mapping[Domain, tuple[float, ...]] = {"source": (0.95, 1.0, 1.05), "target": (0.88, 0.92)}
COLLAPSES = 900.0
"""Bubbles that collapse per second at full cavitation."""


class Pump:
    """One run of a pump."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("pump"), run.rng("pump")
        self.vanes = int(u.integers(5, 8))
        speed = float(r.choice(SPEEDS[domain]))
        self.hz = float(u.uniform(40.0, 50.0)) * speed
        load = float(r.uniform(0.5, 0.7) if domain == "source" else r.uniform(0.65, 0.85))
        self.attributes = {"speed": f"{round(self.hz * 60):d}", "flow": f"{round(load * 100):03d}"}
        self.bearing = Bearing.drawn(u)
        modes = [(float(u.uniform(300, 5000)), float(u.uniform(4, 10)), float(u.uniform(30, 140))) for _ in range(6)]
        tilt = float(u.uniform(-3, 3))
        curve = [(30.0, -4.0), (300.0, 2.0), (1000.0, 0.0), (3000.0, -7.0 + tilt), (7900.0, -17.0 + 2 * tilt)]
        self._vane_orders = 0.5 * 0.6 ** np.arange(6) * u.lognormal(0.0, 0.35, 6)
        self._vane_angles = u.uniform(0.0, 2 * np.pi, 6)
        self._shaft_orders = np.array([0.15, 0.08, 0.04, 0.03]) * u.lognormal(0.0, 0.3, 4)
        self._motor_orders = 0.15 * np.array([1.0, 0.5, 0.15, 0.2, 0.1]) * u.lognormal(0.0, 0.4, 5)
        casing = float(u.uniform(2000, 3600))
        self._load, self._tones = load, speed**2 * (1.15 - 0.4 * load)
        self._water = Noise(run.rng("water"), spectrum(curve, modes))
        self._swirls, self._beat = SlowNoise(run.rng("swirls"), 0.15), SlowNoise(run.rng("beat"), 0.5)
        self._shaft = Shaft(run.rng("speed"), self.hz, jitter=0.002)
        self._turning, self._vanes = Turning(r.random()), Turning(r.random())
        self._mains = Turning(r.random())
        self._defect = OuterRaceDefect(run.child("bearing"), self.bearing, casing * 1.15)
        self._bubbles = run.rng("bubbles")
        self._bursts = SlowNoise(run.rng("bursts"), 0.08)
        self._collapse = Ringing([(casing, 0.0012, 1.0), (casing * 1.55, 0.0007, 0.8), (casing * 2.02, 0.0005, 0.6)])
        self._jet = Hiss(run.rng("jet"), float(u.uniform(2200, 3200)), 7600.0)
        self._spray = SlowNoise(run.rng("spray"), 0.2)
        self._surge = SlowNoise(run.rng("surge"), 0.12)

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        misaligned, clogging = amounts.get("misalignment", 0.0), amounts.get("clogging", 0.0)
        step = self._shaft.take(n)
        turns, vanes = self._turning.take(step), self._vanes.take(step * self.vanes)
        second = np.sin(4 * np.pi * turns.position)
        water = 1.0 + 0.1 * self._swirls.take(n) + 0.6 * clogging * self._surge.take(n) + 0.35 * misaligned * second
        sound = (0.6 + 0.5 * self._load) * water * self._water.take(n)
        tones = self._tones * (1.0 - 0.7 * min(1.0, clogging)) * (1.0 + 0.1 * self._beat.take(n))
        sound += tones * (1.0 + 0.5 * misaligned * second) * vanes.orders(self._vane_orders, self._vane_angles)
        orders = self._shaft_orders * (1.0 + np.array([1.0, 9.0, 3.0, 6.0]) * misaligned)
        sound += turns.orders(orders, (0.0, 1.0, 2.0, 3.0))
        mains = self._mains.take(np.full(n, 100.0 / SAMPLE_RATE))
        sound += self._load * mains.orders(self._motor_orders, np.arange(5.0))
        sound += self._defect.take(step, amounts.get("bearing", 0.0))
        sound += self._cavitation(vanes.position, amounts.get("cavitation", 0.0))
        leak = amounts.get("leak", 0.0)
        if leak:
            sound += leak * np.exp(0.25 * self._spray.take(n)) * self._jet.take(n)
        return np.asarray(sound)

    def _cavitation(self, vane: Wave, amount: float) -> Wave:
        n = len(vane)
        if amount == 0.0:
            return self._collapse.take(np.zeros(n))
        rate = COLLAPSES * bump(vane, 0.5, 0.12) * np.exp(1.2 * self._bursts.take(n)) * min(1.0, amount)
        at = poisson(self._bubbles, n, rate)
        force = self._bubbles.lognormal(-0.5, 0.8, len(at)) * self._bubbles.choice((-1.0, 1.0), len(at))
        return self._collapse.take(strikes(n, at, amount * force))


PUMP = Machine(
    "pump", {"cavitation": 0.75, "bearing": 1.2, "leak": 0.3, "misalignment": 0.5, "clogging": 0.5}, Pump, 4.0
)
