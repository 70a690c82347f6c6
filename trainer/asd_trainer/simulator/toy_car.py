"""A toy car on rollers: a small brushed motor, a plastic pinion and crown gear, axles and wheels.

Faults: `shaft` (bent: everything swells once a turn), `gear` (a deformed tooth of the crown knocks), `melted` (worn
plastic teeth: the mesh fades into rough noise), `wheel` (a damaged wheel thumps), `voltage` (the supply sags: a slower
motor with sparking brushes).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import Hiss, Noise, Ringing, Shaft, SlowNoise, Turning, Wave, bump, spectrum, strikes
from asd_trainer.simulator.seeding import SeedPath

VOLTS: Mapping[Domain, tuple[float, ...]] = {"source": (2.8, 3.1, 3.4), "target": (3.0, 3.2)}


class ToyCar:
    """One run of a toy car."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("ToyCar"), run.rng("ToyCar")
        volts = float(r.choice(VOLTS[domain]))
        self.hz = float(u.uniform(48.0, 62.0)) * (volts - 0.6)
        self.attributes = {"car": f"{'ABCDEFGHIJ'[int(u.integers(10))]}", "volt": f"{volts:.1f}"}
        self._commutator = 2 * int(u.choice((3, 5)))
        self.pinion, crown = int(u.integers(8, 11)), int(u.integers(32, 43))
        self._ratio = self.pinion / crown
        modes = [(float(u.uniform(500, 6000)), float(u.uniform(5, 13)), float(u.uniform(60, 220))) for _ in range(6)]
        tilt = float(u.uniform(-3, 3))
        curve = [(50.0, -10.0), (400.0, 0.0), (1500.0, 3.0), (4000.0, -2.0 + tilt), (7900.0, -10.0 + 2 * tilt)]
        self._mesh_orders = 0.5 * 0.6 ** np.arange(4) * u.lognormal(0.0, 0.4, 4)
        self._spark_orders = 0.25 * 0.6 ** np.arange(3) * u.lognormal(0.0, 0.4, 3)
        self._motor_orders = np.array([0.2, 0.1, 0.06, 0.03]) * u.lognormal(0.0, 0.3, 4)
        self._angles = u.uniform(0.0, 2 * np.pi, 4)
        ring = [
            (float(u.uniform(500, 4200)), float(u.uniform(0.002, 0.005)), float(u.uniform(0.4, 1.0))) for _ in range(4)
        ]
        self._knocks = Ringing(ring)
        self._thumps = Ringing([(float(u.uniform(120, 260)), 0.012, 1.0), (float(u.uniform(400, 800)), 0.006, 0.6)])
        self._brushes = Noise(run.rng("brushes"), spectrum(curve, modes))
        self._plastic, self._sparks = Hiss(run.rng("plastic"), 1200.0, 5200.0), Hiss(run.rng("sparks"), 3000.0, 7600.0)
        self._tyre = SlowNoise(run.rng("tyre"), 0.12)
        self._sag = SlowNoise(run.rng("sag"), 0.25)
        self._shaft = Shaft(run.rng("speed"), self.hz, jitter=0.008, seconds=0.5)
        self._motor, self._mesh, self._segments = Turning(r.random()), Turning(r.random()), Turning(r.random())
        self._axle = Turning(r.random())
        self._rng = run.rng("knocks")
        self._loud = (volts / 3.1) ** 1.5

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        bent, melted, sagging = (amounts.get(f, 0.0) for f in ("shaft", "melted", "voltage"))
        sag = 1.0 - 0.05 * sagging * (1.0 + 0.4 * self._sag.take(n))
        step = self._shaft.take(n, sag)
        motor, mesh = self._motor.take(step), self._mesh.take(step * self.pinion)
        axle = self._axle.take(step * self._ratio)
        swell = 1.0 + 0.9 * bent * np.sin(2 * np.pi * axle.position) + 0.4 * bent * np.sin(2 * np.pi * motor.position)
        sound = (1.0 + 0.1 * self._tyre.take(n)) * swell * self._brushes.take(n)
        sound += swell * (1.0 - 0.15 * min(1.0, melted)) * mesh.orders(self._mesh_orders, self._angles)
        segments = self._segments.take(step * self._commutator)
        sound += segments.orders(self._spark_orders, self._angles[:3])
        sound += motor.orders(self._motor_orders * (1.0 + 3.0 * bent), self._angles)
        if melted:
            sound += melted * (0.6 + 0.4 * mesh.orders([1.0], [0.0])) * self._plastic.take(n)
        if sagging:
            sound += 0.5 * sagging * bump(segments.position, 0.5, 0.12) * self._sparks.take(n)
        sound += self._knocks.take(self._hits(n, axle.ticks(offset=0.4), amounts.get("gear", 0.0)))
        return np.asarray(self._loud * (sound + self._thumped(n, axle.ticks(offset=0.1), amounts.get("wheel", 0.0))))

    def _hits(self, n: int, at: npt.NDArray[np.intp], amount: float) -> Wave:
        return strikes(n, at, 1.5 * amount * self._rng.lognormal(0.0, 0.3, len(at))) if amount else np.zeros(n)

    def _thumped(self, n: int, at: npt.NDArray[np.intp], amount: float) -> Wave:
        return self._thumps.take(self._hits(n, at, 2.0 * amount))


TOY_CAR = Machine("ToyCar", {"shaft": 0.6, "gear": 1.4, "melted": 1.0, "wheel": 0.6, "voltage": 0.5}, ToyCar, 4.0)
