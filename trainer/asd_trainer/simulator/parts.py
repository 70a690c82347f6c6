"""Parts of simulated machines: rotation, resonances, noise and slow drift.

Every part keeps its state from block to block, so that consecutive blocks are one continuous sound. Blocks are whole
multiples of CONTROL samples. Slow processes are drawn once per CONTROL samples and interpolated linearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from asd_agent.audio.files import SAMPLE_RATE

Wave = npt.NDArray[np.float64]
CONTROL = 64
"""Samples from one value of a slow process to the next."""


class SlowNoise:
    """A slow stationary Gaussian process of standard deviation 1: white noise through two equal one-pole low-passes.

    Args:
        rng: Generator.
        seconds: Time constant.
    """

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self._rng = rng
        a = self._pole = float(np.exp(-CONTROL / (seconds * SAMPLE_RATE)))
        rest = 1.0 - a * a
        self._gain = float(np.sqrt(rest**3 / (1.0 + a * a)))
        first, free = rng.standard_normal(2) / np.sqrt(rest)
        second = (first + free * a) / rest  # the stationary joint distribution of both stages
        self._first, self._second, self._last = float(first), float(second), float(second) * self._gain

    def take(self, n: int) -> Wave:
        """Return the next n samples, shape (n,)."""
        steps = self._rng.standard_normal(n // CONTROL)
        first, _ = scipy.signal.lfilter([1.0], [1.0, -self._pole], steps, zi=[self._pole * self._first])
        second, _ = scipy.signal.lfilter([1.0], [1.0, -self._pole], first, zi=[self._pole * self._second])
        self._first, self._second = float(first[-1]), float(second[-1])
        points = np.concatenate(([self._last], second * self._gain))
        self._last = float(points[-1])
        return joined(points)


def joined(points: Wave) -> Wave:
    """Interpolate control points linearly: shape (k + 1,) gives (k · CONTROL,)."""
    ramp = np.arange(1, CONTROL + 1) / CONTROL
    return np.asarray(points[:-1, None] + np.diff(points)[:, None] * ramp).ravel()


@dataclass(frozen=True)
class Turns:
    """A phase in turns over one block.

    Attributes:
        before: Phase just before the block, in [0, 1).
        phase: Phase at each sample, continued from `before`.
    """

    before: float
    phase: Wave

    @property
    def position(self) -> Wave:
        """Phase within the turn, in [0, 1)."""
        return self.phase - np.floor(self.phase)

    def ticks(self, per_turn: int = 1, offset: float = 0.0) -> npt.NDArray[np.intp]:
        """Return the samples at which the phase passes `offset` (in turns), or a whole part of the turn after it."""
        counts = np.floor((np.concatenate(([self.before], self.phase)) - offset) * per_turn)
        return np.flatnonzero(np.diff(counts) > 0)

    def orders(self, amplitudes: npt.ArrayLike, angles: npt.ArrayLike) -> Wave:
        """Return the sum of amplitude · sin(2π · order · phase + angle) over the orders 1, 2, …"""
        turning = np.exp(2j * np.pi * self.position)
        coefficients = np.asarray(amplitudes) * np.exp(1j * np.asarray(angles))
        total = np.full(len(turning), coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total *= turning
            total += coefficient
        return np.asarray((total * turning).imag)


class Turning:
    """Phase of a rotating part, taken once a block."""

    def __init__(self, start: float) -> None:
        self._phase = start % 1.0

    def take(self, step: Wave) -> Turns:
        """Advance by `step` turns per sample, shape (n,)."""
        before = self._phase
        phase = before + np.cumsum(step)
        self._phase = float(phase[-1] % 1.0)
        return Turns(before, phase)


class Shaft:
    """A shaft whose speed drifts slowly around its mean.

    Args:
        rng: Generator.
        hz: Turns per second.
        jitter: Relative standard deviation of the speed.
        seconds: Time constant of the drift.
    """

    def __init__(self, rng: np.random.Generator, hz: float, jitter: float = 0.003, seconds: float = 0.8) -> None:
        self._step, self._jitter = hz / SAMPLE_RATE, jitter
        self._drift = SlowNoise(rng, seconds)

    def take(self, n: int, factor: float | Wave = 1.0) -> Wave:
        """Return turns per sample, shape (n,); `factor` scales the speed."""
        return np.asarray(self._step * factor * (1.0 + self._jitter * self._drift.take(n)))


class Filtered:
    """Convolution of an endless signal with an impulse response, block by block.

    Args:
        response: Impulse response, shape (taps,).
    """

    def __init__(self, response: Wave) -> None:
        self._response = response
        self._tail = np.zeros(len(response) - 1)
        self._spectra: dict[int, npt.NDArray[np.complex128]] = {}

    def take(self, signal: Wave) -> Wave:
        """Return the next block, as long as the signal."""
        n, rest = len(signal), len(self._tail)
        size = scipy.fft.next_fast_len(n + rest, real=True)
        if size not in self._spectra:
            self._spectra = {size: scipy.fft.rfft(self._response, size)}
        out = scipy.fft.irfft(scipy.fft.rfft(signal, size) * self._spectra[size], size)[: n + rest]
        out[:rest] += self._tail
        self._tail = out[n:].copy()
        return np.asarray(out[:n])


class Noise:
    """Gaussian noise of root mean square 1 with a given spectrum."""

    def __init__(self, rng: np.random.Generator, response: Wave) -> None:
        self._rng = rng
        self._filter = Filtered(response)
        self._filter.take(rng.standard_normal(len(response)))

    def take(self, n: int) -> Wave:
        """Return the next n samples, shape (n,)."""
        return self._filter.take(self._rng.standard_normal(n))


class Hiss:
    """Gaussian noise of root mean square 1 between two frequencies in Hz, with slopes of 12 dB per octave."""

    def __init__(self, rng: np.random.Generator, low: float, high: float) -> None:
        self._rng = rng
        self._sos, self._gain = _band(low, high)
        self._state = np.zeros((len(self._sos), 2))
        self.take(8 * CONTROL)

    def take(self, n: int) -> Wave:
        """Return the next n samples, shape (n,)."""
        out, self._state = scipy.signal.sosfilt(self._sos, self._rng.standard_normal(n) * self._gain, zi=self._state)
        return np.asarray(out)


@lru_cache(maxsize=512)
def _band(low: float, high: float) -> tuple[Wave, float]:
    sos = scipy.signal.butter(2, [max(low, 10.0), min(high, 7900.0)], "bandpass", fs=SAMPLE_RATE, output="sos")
    _, response = scipy.signal.sosfreqz(sos, 4096)
    return sos, float(1.0 / np.sqrt(np.mean(np.abs(response) ** 2)))


def spectrum(points: Sequence[tuple[float, float]], modes: Sequence[tuple[float, float, float]] = ()) -> Wave:
    """Return an impulse response that gives white noise a spectrum and root mean square 1.

    Args:
        points: (Hz, dB), interpolated linearly over the logarithm of the frequency.
        modes: Resonances (Hz, dB above the curve, half-width in Hz).

    Returns:
        Shape (1024,), linear phase.
    """
    hz = np.linspace(0.0, SAMPLE_RATE / 2, 513)
    at, level = np.log(np.array([p[0] for p in points])), np.array([p[1] for p in points])
    power = 10.0 ** (np.interp(np.log(np.maximum(hz, 1.0)), at, level) / 10.0)
    for centre, gain, width in modes:
        power *= 1.0 + (10.0 ** (gain / 10.0) - 1.0) / (1.0 + ((hz - centre) / width) ** 2)
    response = np.roll(scipy.fft.irfft(np.sqrt(power)), 512) * np.hanning(1024)
    return np.asarray(response / np.sqrt(np.sum(response**2)))


class Ringing:
    """Decaying modes that impulses excite; an impulse of 1 gives every mode an amplitude of its `gain`.

    Args:
        modes: (Hz, decay time in seconds, gain) of each.
    """

    def __init__(self, modes: Sequence[tuple[float, float, float]]) -> None:
        self._filters = []
        for hz, decay, gain in modes:
            r, w = np.exp(-1.0 / (decay * SAMPLE_RATE)), 2.0 * np.pi * min(hz, 7600.0) / SAMPLE_RATE
            self._filters.append((np.array([0.0, gain * r * np.sin(w)]), np.array([1.0, -2 * r * np.cos(w), r * r])))
        self._states = [np.zeros(2) for _ in modes]

    def take(self, strikes: Wave) -> Wave:
        """Return the response to a block of strikes, shape (n,)."""
        out = np.zeros(len(strikes))
        if not strikes.any() and max(np.abs(s).max() for s in self._states) < 1e-9:
            return out
        for i, (b, a) in enumerate(self._filters):
            mode, self._states[i] = scipy.signal.lfilter(b, a, strikes, zi=self._states[i])
            out += mode
        return out


def strikes(n: int, at: npt.NDArray[np.intp], amplitudes: npt.ArrayLike = 1.0) -> Wave:
    """Return impulses at the samples `at`, shape (n,); those at the same sample add."""
    out = np.zeros(n)
    np.add.at(out, at, np.broadcast_to(np.asarray(amplitudes, dtype=np.float64), at.shape))
    return out


def poisson(rng: np.random.Generator, n: int, per_second: float | Wave) -> npt.NDArray[np.intp]:
    """Return the samples of a block at which a rare event happens, with this rate per second."""
    return np.flatnonzero(rng.random(n) * SAMPLE_RATE < per_second)


def bump(position: Wave, centre: float, width: float) -> Wave:
    """Return a smooth pulse once a turn: 1 at `centre`, a Gaussian of `width` turns around it."""
    away = np.abs(position - centre)
    return np.asarray(np.exp(-0.5 * (np.minimum(away, 1.0 - away) / width) ** 2))
