"""Acoustics around a machine: room, microphone and the noise of the factory.

The noise of the factory is not stationary. Its level drifts, and it contains hum, distant clanks, compressed air and
another machine, so that loudness or an unusual sound alone is no sign of a fault.
"""

from __future__ import annotations

import numpy as np
import scipy.signal

from asd_agent.audio.files import SAMPLE_RATE
from asd_trainer.simulator.machine import Domain
from asd_trainer.simulator.parts import (
    Filtered,
    Hiss,
    Noise,
    Ringing,
    Shaft,
    SlowNoise,
    Turning,
    Wave,
    poisson,
    spectrum,
    strikes,
)
from asd_trainer.simulator.seeding import SeedPath

LEVEL = 0.04
"""Root mean square of the machine at the microphone, full scale ±1: about -28 dBFS, a level with headroom."""
SNR_SHIFT_DB = {"source": 0.0, "target": -1.0}
MICROPHONES = {"source": ("a", "b"), "target": ("c",)}


def microphone(name: str) -> Wave:
    """Return the impulse response of a microphone, shape (128,): a few dB of ripple over the band, linear phase."""
    rng = SeedPath(("microphone", name)).rng()
    hz = np.array([20.0, 150.0, 500.0, 1500.0, 3000.0, 5000.0, 7900.0])
    slope = {"a": 0.0, "b": 0.7, "c": -0.6}[name]
    db = rng.normal(0.0, 0.8, len(hz)) + slope * np.log2(hz / 1000.0)
    full = spectrum(list(zip(hz.tolist(), db.tolist(), strict=True)))
    return np.asarray(full[448:576] * np.hanning(128))


def room(unit: SeedPath, domain: Domain) -> Wave:
    """Return the impulse response of the room, shape (taps,): direct sound, early echoes and a decaying tail."""
    rng = unit.rng("room")
    decay = float(rng.uniform(0.12, 0.2)) * (1.0 if domain == "source" else 1.3)
    taps = round(decay * SAMPLE_RATE)
    t = np.arange(taps) / SAMPLE_RATE
    response = rng.standard_normal(SAMPLE_RATE // 2)[:taps] * np.exp(-6.9 * t / decay)
    response[: round(0.012 * SAMPLE_RATE)] = 0.0
    response *= 0.35 / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    early = rng.integers(20, 200, 6)
    response[early] += rng.uniform(-0.3, 0.3, 6) * (1.0 if domain == "source" else 1.3)
    return np.asarray(response / np.sqrt(np.sum(response**2)))


class Factory:
    """Noise of the factory, of root mean square about 1."""

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath) -> None:
        u, r = unit.rng("factory"), run.rng("factory")
        tilt = float(u.uniform(-2, 2)) + (0.8 if domain == "target" else 0.0) + float(r.normal(0.0, 0.7))
        modes = [(float(u.uniform(80, 3000)), float(u.uniform(2, 7)), float(u.uniform(30, 200))) for _ in range(3)]
        curve = [
            (30.0, 4.0),
            (200.0, 2.0),
            (1000.0, -5.0),
            (4000.0, -13.0 + tilt),
            (7900.0, -20.0 + 2 * tilt),
        ]
        self._hall = Noise(run.rng("hall"), spectrum(curve, modes))
        self._rumble = SlowNoise(run.rng("rumble"), 1.5)
        self._hum_gains = (0.12 if domain == "source" else 0.16) * u.lognormal(0.0, 0.5, 4) * r.lognormal(0.0, 0.4)
        self._hum = Turning(r.random())
        self._hum_hz = float(r.normal(50.0, 0.02))
        self._neighbour_gain = 0.25 * float(r.random() < 0.5) * float(r.lognormal(-0.3, 0.5))
        self._neighbour_orders = r.lognormal(-0.5, 0.6, 6) * 0.75 ** np.arange(6)
        self._neighbour, self._neighbour_turning = (
            Shaft(run.rng("neighbour"), float(r.uniform(25, 95))),
            Turning(0.0),
        )
        self._events = run.rng("events")
        self._clank_rate, self._air_rate = float(r.lognormal(-1.6, 0.6)), float(r.lognormal(-3.2, 0.6))
        ring = [
            (float(r.uniform(400, 4200)), float(r.uniform(0.02, 0.09)), float(r.uniform(0.3, 1.0))) for _ in range(4)
        ]
        self._clanks = Ringing(ring)
        self._valve = Ringing([(0.0, 0.12, 1.0)])  # only its envelope is used
        self._air = Hiss(run.rng("air"), 1800.0, 7000.0)
        self._release = 0.0

    def take(self, n: int) -> Wave:
        """Return the next n samples, shape (n,)."""
        out = np.exp(0.15 * self._rumble.take(n)) * self._hall.take(n)
        hum = self._hum.take(np.full(n, self._hum_hz / SAMPLE_RATE))
        out += hum.orders(self._hum_gains, np.arange(4.0))
        step = self._neighbour.take(n)
        if self._neighbour_gain:
            turns = self._neighbour_turning.take(step)
            out += self._neighbour_gain * turns.orders(self._neighbour_orders, np.arange(6.0))
        at = poisson(self._events, n, self._clank_rate)
        out += self._clanks.take(strikes(n, at, self._events.lognormal(0.0, 0.6, len(at))))
        return out + self._puffs(n)

    def _puffs(self, n: int) -> Wave:
        """Return releases of compressed air: rare hisses that decay in about 0.2 s."""
        at = poisson(self._events, n, self._air_rate)
        a = float(np.exp(-1.0 / (0.2 * SAMPLE_RATE)))
        puffs = strikes(n, at, self._events.lognormal(-0.3, 0.4, len(at)))
        if not len(at) and self._release < 1e-6:
            self._release = 0.0
            return np.zeros(n)
        envelope, _ = scipy.signal.lfilter([1.0], [1.0, -a], puffs, zi=[a * self._release])
        self._release = float(envelope[-1])
        return np.asarray(envelope * self._air.take(n))


class Acoustics:
    """Acoustics of one run: from the dry sound of the machine to the output of the microphone.

    Args:
        unit: Seeds of the unit, which fix room and factory.
        domain: Domain, which fixes room, factory, microphones and noise level.
        run: Seeds of the run.
        gain: Gain that brings the dry sound of the unit to root mean square 1.
        snr_db: Level of the machine above the factory in the source domain, in dB.
    """

    def __init__(self, unit: SeedPath, domain: Domain, run: SeedPath, gain: float, snr_db: float) -> None:
        r = run.rng("place")
        self.mic = str(r.choice(MICROPHONES[domain]))
        self._room = Filtered(room(unit, domain))
        self._microphone = Filtered(microphone(self.mic))
        self._factory = Factory(unit, domain, run)
        snr = snr_db + SNR_SHIFT_DB[domain] + float(r.normal(0.0, 1.0))
        self._machine_gain = gain * 10.0 ** (float(r.normal(0.0, 1.0)) / 20.0)
        self._factory_gain = 10.0 ** (-snr / 20.0)
        self._level = LEVEL * 10.0 ** (float(r.normal(0.0, 2.0)) / 20.0)
        self._distance = SlowNoise(run.rng("distance"), 3.0)
        self._self_noise = run.rng("self-noise")

    def take(self, dry: Wave) -> Wave:
        """Return the output of the microphone for the next block of dry sound, shape (n,)."""
        n = len(dry)
        air = self._machine_gain * (1.0 + 0.03 * self._distance.take(n)) * self._room.take(dry)
        air += self._factory_gain * self._factory.take(n)
        captured = self._level * self._microphone.take(air)
        return np.asarray(captured + 1e-4 * self._self_noise.standard_normal(n))
