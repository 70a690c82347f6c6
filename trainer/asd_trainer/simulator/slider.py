"""A linear slide: a motor drives a carriage along a rail and back, with a stop at either end.

Faults: `stick-slip` (the carriage sticks and jumps where it moves slowly), `dent` (a knock where it passes one place of
the rail), `belt` (a loose belt slaps and squeals at reversals), `dry` (an ungreased rail: hiss with the motion),
`bearing` (a ball of the carriage: ticks in step with the distance travelled).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import Hiss, Noise, Ringing, Shaft, SlowNoise, Turning, Wave, bump, spectrum, strikes
from asd_trainer.simulator.seeding import SeedPath

SPEEDS: Mapping[Domain, tuple[float, ...]] = {"source": (0.94, 1.0, 1.06), "target": (0.91, 0.97)}

SLAPS = ((300, 1.0), (900, 0.6), (1800, 0.35))
"""Slaps of a loose belt after a reversal: delay in samples, strength."""
ECHO = max(lag for lag, _ in SLAPS)


class Slider:
    """One run of a slide."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("slider"), run.rng("slider")
        speed = float(r.choice(SPEEDS[domain]))
        stroke = float(u.uniform(0.3, 0.6))
        top = float(u.uniform(0.5, 0.9)) * speed
        self._rest, self._ramp = float(u.uniform(0.05, 0.12)), float(u.uniform(0.07, 0.13))
        self._period = 2 * stroke / top / (1.0 - 2 * self._rest - self._ramp * 2)
        load = float(r.uniform(0.3, 0.5) if domain == "source" else r.uniform(0.45, 0.65))
        self.attributes = {"vel": f"{round(top * 1000):d}", "load": f"{round(load * 100):03d}"}
        self._heavy = 0.8 + 0.5 * load
        self._motor_hz = float(u.uniform(260, 480)) * speed
        self._travel = float(u.uniform(120, 220))  # ball or belt-tooth passes over one stroke
        modes = [(float(u.uniform(400, 5500)), float(u.uniform(4, 12)), float(u.uniform(40, 160))) for _ in range(5)]
        tilt = float(u.uniform(-3, 3))
        curve = [(40.0, -8.0), (300.0, 0.0), (1200.0, 2.0), (3500.0, -6.0 + tilt), (7900.0, -18.0 + 2 * tilt)]
        self._whine = 0.35 * 0.6 ** np.arange(5) * u.lognormal(0.0, 0.4, 5)
        self._teeth = 0.25 * 0.6 ** np.arange(4) * u.lognormal(0.0, 0.4, 4)
        self._angles = u.uniform(0.0, 2 * np.pi, 5)
        self._dent = float(u.uniform(0.25, 0.75))
        ring = [
            (float(u.uniform(600, 4500)), float(u.uniform(0.002, 0.006)), float(u.uniform(0.4, 1.0))) for _ in range(4)
        ]
        self._rolling, self._rough = (
            Noise(run.rng("rolling"), spectrum(curve, modes)),
            SlowNoise(run.rng("rough"), 0.08),
        )
        self._stops = Ringing([(float(u.uniform(90, 220)), 0.02, 1.0), (float(u.uniform(300, 700)), 0.008, 0.4)])
        self._knocks, self._slips, self._balls = Ringing(ring), Ringing(ring), Ringing(ring[1:3])
        self._slap = Ringing([(float(u.uniform(500, 900)), 0.012, 1.0), (float(u.uniform(1800, 2600)), 0.02, 0.35)])
        self._dry = Hiss(run.rng("dry"), 2500.0, 7500.0)
        self._clock = Shaft(run.rng("clock"), 1.0 / self._period, jitter=0.004, seconds=2.0)
        self._motor, self._teeth_turning, self._ball = Turning(r.random()), Turning(r.random()), Turning(r.random())
        self._cycle, self._sticking = Turning(r.random()), Turning(r.random())
        self._past, self._before = np.zeros(ECHO), False
        self._rng, self._stick = run.rng("strokes"), SlowNoise(run.rng("stick"), 0.05)

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,); see `MachineVoice`."""
        step = self._clock.take(n)
        cycle = self._cycle.take(step)
        velocity, place = self._motion(cycle.position)
        rough = 1.0 + 0.15 * self._rough.take(n)
        sound = self._heavy * velocity**1.2 * rough * self._rolling.take(n)
        motor = self._motor.take((0.02 + velocity) * self._motor_hz / SAMPLE_RATE)
        sound += (0.08 + velocity) * motor.orders(self._whine, self._angles)
        passes = velocity * self._travel * step * 2.0
        sound += velocity * self._teeth_turning.take(passes).orders(self._teeth, self._angles[:4])
        ends = np.concatenate([cycle.ticks(offset=o) for o in (0.5 - self._rest, 1.0 - self._rest)])
        hits = strikes(n, ends, 1.5 * self._heavy * self._rng.lognormal(0.0, 0.15, len(ends)))
        sound += self._stops.take(hits)
        return np.asarray(sound + self._faulty(n, amounts, velocity, place, passes, hits))

    def _motion(self, position: Wave) -> tuple[Wave, Wave]:
        """Return speed, 0 to 1, and place on the rail, 0 to 1, from the phase of the cycle."""
        half = np.mod(position, 0.5)
        moving = 0.5 - self._rest
        velocity = np.clip(np.minimum(half, moving - half) / self._ramp, 0.0, 1.0)
        way = np.clip(half / moving, 0.0, 1.0)
        return velocity, np.where(position < 0.5, way, 1.0 - way)

    def _faulty(
        self, n: int, amounts: Mapping[str, float], velocity: Wave, place: Wave, passes: Wave, hits: Wave
    ) -> Wave:
        sticks = amounts.get("stick-slip", 0.0)
        slow = velocity * (1.0 - velocity) * 4.0
        rate = (55.0 * slow + 12.0 * velocity) * (1.0 + 0.5 * np.tanh(self._stick.take(n))) / SAMPLE_RATE
        at = self._sticking.take(rate).ticks()
        slips = strikes(n, at, sticks * self._rng.lognormal(0.0, 0.4, len(at))) if sticks else np.zeros(n)
        out = self._slips.take(slips)
        dent, beyond = amounts.get("dent", 0.0), place > self._dent
        at = np.flatnonzero(np.diff(beyond, prepend=self._before))
        self._before = bool(beyond[-1])
        knocks = strikes(n, at, 3.0 * dent * velocity[at]) if dent else np.zeros(n)
        out += self._knocks.take(knocks)
        history = np.concatenate([self._past, hits])
        self._past = history[n:]
        slaps = np.sum([share * history[ECHO - lag : ECHO - lag + n] for lag, share in SLAPS], axis=0)
        out += self._slap.take(amounts.get("belt", 0.0) * slaps)
        ball = amounts.get("bearing", 0.0)
        at = self._ball.take(passes * 0.21).ticks()
        ticks = strikes(n, at, ball * velocity[at] * self._rng.lognormal(0.0, 0.25, len(at))) if ball else np.zeros(n)
        out += self._balls.take(ticks)
        dry = amounts.get("dry", 0.0)
        if dry:
            out += dry * velocity * (0.6 + 0.4 * bump(place, 0.6, 0.15)) * self._dry.take(n)
        return out


SLIDER = Machine("slider", {"stick-slip": 1.0, "dent": 1.9, "belt": 2.4, "dry": 0.3, "bearing": 1.3}, Slider, 3.0)
