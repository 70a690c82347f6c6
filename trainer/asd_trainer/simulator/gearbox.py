"""A two-stage gearbox under load: gear-mesh tones with sidebands, shaft orders, bearings and oil.

Faults: `tooth` (a chipped tooth of the pinion: a knock once a turn and sidebands of the mesh), `wear` (mesh harmonics
rise and roughen), `misalignment` (the second mesh harmonic, modulated twice a turn), `bearing` (outer race), `dry` (too
little oil: rough noise with the mesh).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asd_trainer.simulator.defects import Bearing, OuterRaceDefect
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import Hiss, Noise, Ringing, Shaft, SlowNoise, Turning, Wave, bump, spectrum, strikes
from asd_trainer.simulator.seeding import SeedPath

SPEEDS: Mapping[Domain, tuple[float, ...]] = {"source": (0.94, 1.0, 1.06), "target": (0.86, 0.9)}


class Gearbox:
    """One run of a gearbox."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("gearbox"), run.rng("gearbox")
        self.pinion, wheel, self._second = int(u.integers(17, 29)), int(u.integers(45, 75)), int(u.integers(19, 27))
        self._ratio = self.pinion / wheel
        speed = float(r.choice(SPEEDS[domain]))
        self.hz = float(u.uniform(20.0, 30.0)) * speed
        load = float(r.uniform(0.35, 0.6) if domain == "source" else r.uniform(0.55, 0.75))
        self.attributes = {"speed": f"{round(self.hz * 60):d}", "load": f"{round(load * 100):03d}"}
        self.bearing = Bearing.drawn(u)
        modes = [(float(u.uniform(300, 5000)), float(u.uniform(5, 12)), float(u.uniform(30, 140))) for _ in range(6)]
        tilt = float(u.uniform(-3, 3))
        curve = [(30.0, 0.0), (300.0, 3.0), (1200.0, -1.0), (3000.0, -9.0 + tilt), (7900.0, -22.0 + 2 * tilt)]
        self._mesh_orders = 0.7 * 0.62 ** np.arange(7) * u.lognormal(0.0, 0.45, 7)
        self._mesh_angles = u.uniform(0.0, 2 * np.pi, 7)
        self._slow_orders = 0.4 * 0.6 ** np.arange(6) * u.lognormal(0.0, 0.45, 6)
        self._shaft_orders = np.array([0.2, 0.1, 0.05]) * u.lognormal(0.0, 0.3, 3)
        self._runout = u.uniform(0.05, 0.15, 2)
        self._load = 0.6 + 0.7 * load
        self._noise = Noise(run.rng("noise"), spectrum(curve, modes))
        self._beat, self._rough = SlowNoise(run.rng("beat"), 0.4), SlowNoise(run.rng("rough"), 0.015)
        self._shaft = Shaft(run.rng("speed"), self.hz, jitter=0.004)
        self._turning, self._wheel = Turning(r.random()), Turning(r.random())
        self._mesh, self._slow = Turning(r.random()), Turning(r.random())
        ring = [
            (float(u.uniform(900, 4500)), float(u.uniform(0.0015, 0.004)), float(u.uniform(0.4, 1.0))) for _ in range(4)
        ]
        self._knocks = Ringing(ring)
        self._defect = OuterRaceDefect(run.child("bearing"), self.bearing, float(u.uniform(2600, 4600)))
        self._scuffing = Hiss(run.rng("scuffing"), 1800.0, 7200.0)
        self._rng = run.rng("teeth")

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        tooth, wear = amounts.get("tooth", 0.0), amounts.get("wear", 0.0)
        misaligned, dry = amounts.get("misalignment", 0.0), amounts.get("dry", 0.0)
        step = self._shaft.take(n)
        turns, wheel = self._turning.take(step), self._wheel.take(step * self._ratio)
        mesh = self._mesh.take(step * self.pinion)
        slow = self._slow.take(step * self._ratio * self._second)
        chipped = bump(turns.position, 0.3, 0.6 / self.pinion)
        depth = 1.0 + self._runout[0] * np.sin(2 * np.pi * turns.position) + 0.12 * self._beat.take(n)
        depth += 1.2 * tooth * chipped + 0.6 * misaligned * np.sin(4 * np.pi * turns.position)
        depth += 0.5 * wear * self._rough.take(n)
        orders = self._mesh_orders * (1.0 + wear * np.array([0.3, 0.9, 1.2, 1.4, 1.4, 1.4, 1.4]))
        orders[1] *= 1.0 + 1.5 * misaligned
        sound = self._load * depth * mesh.orders(orders, self._mesh_angles)
        second = 1.0 + self._runout[1] * np.sin(2 * np.pi * wheel.position)
        sound += self._load * second * slow.orders(self._slow_orders, self._mesh_angles[:6])
        sound += turns.orders(self._shaft_orders, (0.0, 1.0, 2.0))
        sound += (0.7 + 0.25 * mesh.orders([1.0], [0.0])) * self._noise.take(n)
        at = turns.ticks(offset=0.3)
        knocks = strikes(n, at, 2.0 * tooth * self._rng.lognormal(0.0, 0.25, len(at))) if tooth else np.zeros(n)
        sound += self._knocks.take(knocks)
        sound += self._defect.take(step, amounts.get("bearing", 0.0))
        if dry:
            sound += dry * (0.6 + 0.4 * mesh.orders([1.0], [1.0])) * depth * self._scuffing.take(n)
        return np.asarray(sound)


GEARBOX = Machine("gearbox", {"tooth": 0.8, "wear": 0.7, "misalignment": 0.7, "bearing": 1.4, "dry": 0.5}, Gearbox, 4.0)
