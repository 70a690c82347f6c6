"""A solenoid valve that opens and closes in a pattern: clicks of the armature, a bounce, and flow while it is open.

Faults: `sluggish` (opens late, softly and dully), `missing` (strokes fail), `chatter` (the armature bounces on its
seat), `leak` (hiss while closed), `wear` (a loose armature: clicks ring longer and lower).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy.signal

from asd_agent.audio.files import SAMPLE_RATE
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import Hiss, Ringing, Shaft, SlowNoise, Turning, Wave
from asd_trainer.simulator.seeding import SeedPath

Steps = npt.NDArray[np.intp]
PERIODS: Mapping[Domain, tuple[float, ...]] = {"source": (0.96, 1.0, 1.04), "target": (0.88, 0.92)}
SMOOTHING = 0.004
"""Time constant in seconds with which the flow follows the armature."""


class Valve:
    """One run of a valve."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("valve"), run.rng("valve")
        strokes = int(u.integers(2, 5))
        edges = np.sort(u.uniform(0.0, 0.14, 2 * strokes)) + np.arange(2 * strokes) * 0.82 / (2 * strokes)
        self.opens, self.closes = edges[::2], edges[1::2]
        period = float(u.uniform(1.4, 2.4)) * float(r.choice(PERIODS[domain]))
        pressure = float(r.uniform(0.4, 0.6) if domain == "source" else r.uniform(0.55, 0.75))
        self.attributes = {
            "period": f"{round(period * 1000):04d}",
            "pressure": f"{round(pressure * 100):03d}",
        }
        self._period, self._flow_gain = period, 0.09 * float(u.uniform(0.7, 1.3)) * (0.5 + pressure)
        ring = [
            (float(u.uniform(900, 5500)), float(u.uniform(0.002, 0.008)), float(u.uniform(0.4, 1.0))) for _ in range(5)
        ]
        thud = [(float(u.uniform(180, 500)), 0.012, 0.8), (float(u.uniform(500, 900)), 0.008, 0.5)]
        self._metal, self._body = Ringing(ring), Ringing(thud)
        self._loose = Ringing([(f * 0.8, d * 3.0, g) for f, d, g in ring])
        self._bounce = round(float(u.uniform(0.004, 0.009)) * SAMPLE_RATE)
        self._close_gain = float(u.uniform(0.5, 0.9))
        pitch = float(u.uniform(900, 2500))
        self._flow = Hiss(run.rng("flow"), pitch, pitch * 2.2)
        self._hiss = Hiss(run.rng("leak"), pitch * 1.5, 7000.0)
        self._coil = 0.02 * u.lognormal(0.0, 0.3, 4)
        self._supply, self._leak = SlowNoise(run.rng("supply"), 0.5), SlowNoise(run.rng("leaking"), 0.3)
        self._clock = Shaft(run.rng("clock"), 1.0 / period, jitter=0.01, seconds=1.5)
        start = float(r.random())
        self._open = bool(np.any((self.opens <= start) & (start < self.closes)))
        self._cycle, self._mains = Turning(start), Turning(r.random())
        self._rng, self._failing = run.rng("strokes"), run.rng("failing")
        self._pending = np.zeros(SAMPLE_RATE // 4)
        self._opening = float(self._open)

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        turns = self._cycle.take(self._clock.take(n))
        sluggish, wear = amounts.get("sluggish", 0.0), amounts.get("wear", 0.0)
        late = 0.05 * sluggish / self._period
        opens: list[Steps] = []
        closes: list[Steps] = []
        hard, soft = np.zeros(n + len(self._pending)), np.zeros(n + len(self._pending))
        hard[: len(self._pending)] = self._pending
        for offset in self.opens:
            at = self._failed(turns.ticks(offset=offset + late), amounts.get("missing", 0.0))
            force = self._rng.lognormal(0.0, 0.12, len(at))
            self._strike(hard, at, force * (1.0 - 0.75 * sluggish), 0.35)
            self._strike(soft, at, force * (1.0 - 0.3 * sluggish), 0.0)
            opens.append(at)
        for offset in self.closes:
            at = self._failed(turns.ticks(offset=offset), amounts.get("missing", 0.0))
            force = self._close_gain * self._rng.lognormal(0.0, 0.12, len(at))
            self._strike(hard, at, force, 0.3)
            self._strike(soft, at, 0.6 * force, 0.0)
            self._chatter(hard, at, force * amounts.get("chatter", 0.0))
            closes.append(at)
        self._pending = hard[n:].copy()
        sound = (1.0 - 0.6 * wear) * self._metal.take(hard[:n]) + self._body.take(soft[:n])
        sound += self._loose.take(wear * hard[:n])
        opened = self._opened(n, np.concatenate(opens), np.concatenate(closes))
        flow = opened * (1.0 + 0.12 * self._supply.take(n))
        sound += self._flow_gain * flow * self._flow.take(n)
        tones = self._mains.take(np.full(n, 100.0 / SAMPLE_RATE)).orders(self._coil, (0.0, 1.0, 2.0, 3.0))
        sound += (0.3 + 0.7 * opened) * tones
        leak = amounts.get("leak", 0.0)
        if leak:
            sound += leak * (1.0 - opened) * np.exp(0.3 * self._leak.take(n)) * self._hiss.take(n)
        return np.asarray(sound)

    def _failed(self, at: Steps, probability: float) -> Steps:
        return at[self._failing.random(len(at)) >= probability]

    def _strike(self, out: Wave, at: Steps, force: Wave, bounce: float) -> None:
        np.add.at(out, at, force)
        if bounce:
            np.add.at(out, at + self._bounce, bounce * force)

    def _chatter(self, out: Wave, at: Steps, force: Wave) -> None:
        for k in range(1, 7):
            np.add.at(out, at + round(self._bounce * (1.0 + 2.2 * k)), force * 0.8**k)

    def _opened(self, n: int, opened: Steps, closed: Steps) -> Wave:
        """Return the opening of the valve, 0 to 1, with the inertia of the flow; a failed stroke does not change it."""
        commands = np.zeros(n, dtype=np.intp)
        commands[closed], commands[opened] = -1, 1
        last = np.maximum.accumulate(np.where(commands != 0, np.arange(n), -1))
        wanted = np.where(last >= 0, commands[last] > 0, self._open)
        self._open = bool(wanted[-1])
        return self._smooth(wanted.astype(np.float64))

    def _smooth(self, wanted: Wave) -> Wave:
        a = float(np.exp(-1.0 / (SMOOTHING * SAMPLE_RATE)))
        out, _ = scipy.signal.lfilter([1.0 - a], [1.0, -a], wanted, zi=[a * self._opening])
        self._opening = float(out[-1])
        return np.asarray(out)


VALVE = Machine("valve", {"sluggish": 0.9, "missing": 0.6, "chatter": 0.7, "leak": 0.06, "wear": 0.16}, Valve, 0.0)
