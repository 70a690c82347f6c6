"""An axial fan: flow noise, blade-pass tones, shaft orders and a motor.

Faults: `imbalance` (shaft orders, and flow noise that swells once a turn), `bearing` (outer race), `blade` (a bent
blade: its pulse once a turn, that is sidebands of the blade pass), `rub` (a blade scrapes the shroud), `clogging` (less
flow past a dirty grille: duller noise, stronger and less steady low frequencies).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asd_trainer.simulator.defects import Bearing, OuterRaceDefect, Rub
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import Hiss, Noise, Shaft, SlowNoise, Turning, Wave, bump, spectrum
from asd_trainer.simulator.seeding import SeedPath

SPEEDS: Mapping[Domain, tuple[float, ...]] = {"source": (0.94, 1.0, 1.06), "target": (0.86, 0.9)}


class Fan:
    """One run of a fan."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("fan"), run.rng("fan")
        self.blades = int(u.integers(4, 10))
        rated = float(u.uniform(18.0, 30.0))
        self.speed = float(r.choice(SPEEDS[domain]))
        load = float(r.uniform(0.35, 0.55) if domain == "source" else r.uniform(0.5, 0.7))
        self.hz = rated * self.speed
        self.attributes = {"speed": f"{round(self.hz * 60):d}", "load": f"{round(load * 100):03d}"}
        self.bearing = Bearing.drawn(u)
        modes = [(float(u.uniform(250, 4500)), float(u.uniform(4, 11)), float(u.uniform(20, 90))) for _ in range(5)]
        slope = float(u.uniform(-3, 3))
        curve = [
            (30.0, -6.0),
            (150.0, 6.0),
            (600.0, 0.0),
            (2500.0, -12.0 + slope),
            (7900.0, -26.0 + 2 * slope),
        ]
        self._blade_orders = 0.45 * 0.55 ** np.arange(5) * u.lognormal(0.0, 0.3, 5)
        self._blade_angles = u.uniform(0.0, 2 * np.pi, 5)
        self._shaft_orders = np.array([0.12, 0.05, 0.03]) * u.lognormal(0.0, 0.3, 3)
        self._motor = 0.10 * np.array([1.0, 0.4, 0.2, 0.1]) * u.lognormal(0.0, 0.3, 4)
        resonance = float(u.uniform(2200, 4200))
        self._swirl, self._load = float(u.uniform(0.05, 0.15)), load
        self._flow = Noise(run.rng("flow"), spectrum(curve, modes))
        self._dull = Hiss(run.rng("dull"), 40.0, 260.0)
        self._gusts, self._beat = SlowNoise(run.rng("gusts"), 0.25), SlowNoise(run.rng("beat"), 0.4)
        self._surge = SlowNoise(run.rng("surge"), 0.06)
        self._shaft = Shaft(run.rng("speed"), self.hz, jitter=0.004)
        self._turning, self._mains = Turning(r.random()), Turning(r.random())
        self._blade_turning = Turning(r.random())
        self._defect = OuterRaceDefect(run.child("bearing"), self.bearing, resonance)
        self._rub = Rub(run.child("rub"), 2000.0, 6500.0)

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        clogging, imbalance = amounts.get("clogging", 0.0), amounts.get("imbalance", 0.0)
        step = self._shaft.take(n, 1.0 + 0.02 * clogging)
        turns, blades = self._turning.take(step), self._blade_turning.take(step * self.blades)
        position = turns.position
        bent = amounts.get("blade", 0.0) * bump(position, 0.25, 0.35 / self.blades)
        flow = 1.0 + 0.08 * self._gusts.take(n) + self._swirl * np.sin(2 * np.pi * blades.position)
        flow += 0.9 * imbalance * np.sin(2 * np.pi * position) + 1.6 * bent
        flow *= self.speed**2.5 * (1.0 - 0.35 * clogging) * (0.85 + 0.3 * self._load)
        sound = flow * self._flow.take(n)
        tones = blades.orders(self._blade_orders, self._blade_angles)
        sound += self.speed**2 * (1.0 + 0.15 * self._beat.take(n) + 2.5 * bent) * tones
        orders = self._shaft_orders * (1.0 + np.array([9.0, 5.0, 2.0]) * imbalance)
        sound += turns.orders(orders, (0.0, 1.0, 2.0))
        sound += self._mains.take(np.full(n, 100.0 / 16000)).orders(self._motor, (0.0, 0.5, 1.0, 1.5))
        surging = np.maximum(0.0, 1.0 + 0.8 * self._surge.take(n))
        sound += 0.9 * clogging * surging * self._dull.take(n)
        sound += self._defect.take(step, amounts.get("bearing", 0.0))
        return np.asarray(sound + self._rub.take(position, amounts.get("rub", 0.0)))


FAN = Machine("fan", {"imbalance": 0.6, "bearing": 1.4, "blade": 1.6, "rub": 0.9, "clogging": 0.6}, Fan, 4.0)
