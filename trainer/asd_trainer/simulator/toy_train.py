"""A toy train on a loop of track: motor and gear hum, wheels that roll, and the clack of every rail joint.

Faults: `flat` (a flat wheel knocks once a turn), `axle` (bent: rolling noise that swells once a turn), `joint` (one
open joint clacks louder), `obstruction` (something scrapes on a part of the loop), `gear` (a chipped tooth of the
axle's gear: its mesh roughens).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asd_trainer.simulator.defects import Rub
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import Noise, Ringing, Shaft, SlowNoise, Turning, Turns, Wave, bump, spectrum, strikes
from asd_trainer.simulator.seeding import SeedPath

SPEEDS: Mapping[Domain, tuple[float, ...]] = {"source": (0.93, 1.0, 1.07), "target": (0.86, 0.9)}


class ToyTrain:
    """One run of a toy train."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("ToyTrain"), run.rng("ToyTrain")
        self.joints = int(u.integers(8, 15))
        speed = float(r.choice(SPEEDS[domain]))
        lap = float(u.uniform(3.5, 5.5)) / speed
        self._turns = float(u.uniform(38.0, 60.0))  # turns of a wheel in one lap
        self._teeth, self._motor_ratio = int(u.integers(20, 31)), float(u.uniform(9.0, 13.0))
        self.attributes = {"lap": f"{round(lap * 1000):04d}", "cars": f"{int(u.integers(1, 5))}"}
        modes = [(float(u.uniform(300, 5500)), float(u.uniform(4, 12)), float(u.uniform(40, 160))) for _ in range(6)]
        tilt = float(u.uniform(-3, 3))
        curve = [(40.0, -8.0), (300.0, 1.0), (1200.0, 2.0), (3500.0, -5.0 + tilt), (7900.0, -16.0 + 2 * tilt)]
        self._motor_orders = 0.4 * 0.6 ** np.arange(6) * u.lognormal(0.0, 0.4, 6)
        self._mesh_orders = 0.4 * 0.6 ** np.arange(4) * u.lognormal(0.0, 0.4, 4)
        self._angles = u.uniform(0.0, 2 * np.pi, 6)
        self._places = (np.arange(self.joints) + u.uniform(-0.2, 0.2, self.joints)) / self.joints % 1.0
        self._loudness = u.lognormal(0.0, 0.3, self.joints)
        ring = [
            (float(u.uniform(500, 4500)), float(u.uniform(0.002, 0.006)), float(u.uniform(0.4, 1.0))) for _ in range(4)
        ]
        self._clacks, self._knocks = Ringing(ring), Ringing([(f * 0.9, d * 0.7, g) for f, d, g in ring])
        self._bogie = float(u.uniform(0.12, 0.25)) / self.joints
        self._curve = float(u.uniform(0.2, 0.4))
        self._rolling, self._rough = Noise(run.rng("rolling"), spectrum(curve, modes)), SlowNoise(run.rng("rough"), 0.1)
        self._track = Shaft(run.rng("speed"), 1.0 / lap, jitter=0.012, seconds=0.7)
        self._lap, self._wheel = Turning(r.random()), Turning(r.random())
        self._motor, self._mesh = Turning(r.random()), Turning(r.random())
        self._scrape, self._rng = Rub(run.child("scrape"), 1800.0, 6800.0, 0.04), run.rng("joints")

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        bent, chipped = amounts.get("axle", 0.0), amounts.get("gear", 0.0)
        step = self._track.take(n)
        lap, wheel = self._lap.take(step), self._wheel.take(step * self._turns)
        swell = 1.0 + 0.9 * bent * np.sin(2 * np.pi * wheel.position) + 0.12 * self._rough.take(n)
        curves = 1.0 + self._curve * np.cos(4 * np.pi * lap.position)
        sound = swell * curves * self._rolling.take(n)
        motor = self._motor.take(step * self._turns * self._motor_ratio)
        sound += motor.orders(self._motor_orders, self._angles)
        mesh = self._mesh.take(step * self._turns * self._teeth)
        tooth = bump(wheel.position, 0.7, 1.0 / self._teeth)
        meshing = self._mesh_orders * (1.0 + chipped * np.array([0.5, 1.0, 1.5, 1.5]))
        sound += swell * (1.0 + 2.0 * chipped * tooth) * mesh.orders(meshing, self._angles[:4])
        sound += self._clacks.take(self._joints(n, lap, amounts.get("joint", 0.0)))
        flat, at = amounts.get("flat", 0.0), wheel.ticks(offset=0.2)
        knocks = strikes(n, at, 1.5 * flat * self._rng.lognormal(0.0, 0.3, len(at))) if flat else np.zeros(n)
        sound += self._knocks.take(knocks)
        return np.asarray(sound + self._scrape.take(lap.position, amounts.get("obstruction", 0.0)))

    def _joints(self, n: int, lap: Turns, opened: float) -> Wave:
        """Return strikes of two axles at every joint; the first joint is the one that opens."""
        out = np.zeros(n)
        for k, place in enumerate(self._places):
            strength = 3.0 * self._loudness[k] * (1.0 + (4.0 * opened if k == 0 else 0.0))
            for axle in (0.0, self._bogie):
                at = lap.ticks(offset=float(place + axle) % 1.0)
                out += strikes(n, at, strength * self._rng.lognormal(0.0, 0.2, len(at)))
        return out


TOY_TRAIN = Machine(
    "ToyTrain", {"flat": 1.9, "axle": 0.6, "joint": 1.7, "obstruction": 0.7, "gear": 1.0}, ToyTrain, 4.0
)
