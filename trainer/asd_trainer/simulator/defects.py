"""Defects that several machines share: rolling bearings and parts that strike or scrape once a turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_trainer.simulator.parts import Hiss, Ringing, SlowNoise, Turning, Wave, bump, strikes
from asd_trainer.simulator.seeding import SeedPath


@dataclass(frozen=True)
class Bearing:
    """Geometry of a rolling bearing.

    Attributes:
        balls: Rolling elements.
        ratio: Ball diameter over pitch diameter, times the cosine of the contact angle.
    """

    balls: int
    ratio: float

    @property
    def outer(self) -> float:
        """Ball passes over a point of the outer race per turn of the shaft (BPFO): n/2 · (1 - d/D · cos φ)."""
        return self.balls / 2 * (1.0 - self.ratio)

    @property
    def inner(self) -> float:
        """Ball passes over a point of the inner race per turn of the shaft (BPFI): n/2 · (1 + d/D · cos φ)."""
        return self.balls / 2 * (1.0 + self.ratio)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Bearing:
        """Draw a common deep-groove geometry."""
        return cls(int(rng.integers(7, 11)), float(rng.uniform(0.18, 0.28)))


class OuterRaceDefect:
    """Balls that roll over a spall in the outer race and excite the housing, with some slip.

    Args:
        seeds: Seeds of its generators.
        bearing: Geometry.
        resonance: Resonance of the housing in Hz.
    """

    def __init__(self, seeds: SeedPath, bearing: Bearing, resonance: float) -> None:
        self._rate = bearing.outer
        self._slip = SlowNoise(seeds.rng("slip"), 0.05)
        self._rng = seeds.rng("strength")
        self._turning = Turning(float(self._rng.random()))
        self._housing = Ringing([(resonance, 0.0018, 1.0), (resonance * 1.62, 0.0012, 0.5)])

    def take(self, step: Wave, amplitude: float) -> Wave:
        """Return the next block, shape (n,).

        Args:
            step: Turns of the shaft per sample, shape (n,).
            amplitude: Amplitude of a strike.
        """
        n = len(step)
        turns = self._turning.take(step * self._rate * (1.0 + 0.012 * self._slip.take(n)))
        if amplitude == 0.0:
            return self._housing.take(np.zeros(n))
        at = turns.ticks()
        return self._housing.take(strikes(n, at, amplitude * self._rng.lognormal(0.0, 0.25, len(at))))


class Rub:
    """A scrape once a turn, over a part of the turn.

    Args:
        seeds: Seeds of its generators.
        low: Lower edge of the band of the scrape in Hz.
        high: Upper edge in Hz.
        width: Width of the touching part, in turns.
    """

    def __init__(self, seeds: SeedPath, low: float, high: float, width: float = 0.05) -> None:
        self._hiss = Hiss(seeds.rng("scrape"), low, high)
        self._force = SlowNoise(seeds.rng("force"), 0.3)
        self._width = width

    def take(self, position: Wave, amplitude: float) -> Wave:
        """Return the next block, shape (n,); `position` is the phase within the turn."""
        if amplitude == 0.0:
            return np.zeros(len(position))
        force = np.exp(0.35 * self._force.take(len(position)))
        return np.asarray(amplitude * force * bump(position, 0.5, self._width) * self._hiss.take(len(position)))
