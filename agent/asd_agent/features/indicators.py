"""Classical condition-monitoring quantities of a window: crest factor, kurtosis, spectral shape, and band envelopes.

Bands are cut out of one Fourier transform and brought back as analytic signals at their own low rate, so that envelope
statistics cost little. Kurtosis of the analytic signal follows the spectral kurtosis of Antoni (MSSP 20, 2006).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE

BANDS_HZ = ((50, 500), (500, 1000), (1000, 2000), (2000, 4000), (4000, 7800))
MODULATION_HZ = (0.5, 200.0)
"""Envelope frequencies of rotation, valves and bearings."""

_WHOLE = (
    "crest factor",
    "kurtosis",
    "skewness",
    "spectral centroid",
    "spectral bandwidth",
    "spectral flatness",
)
_BAND = ("level", "kurtosis", "crest factor", "envelope modulation", "modulation rate")


def names() -> tuple[str, ...]:
    """Return a name for each column of `indicators`."""
    banded = tuple(f"{q} at {_hz(low)}–{_hz(high)} Hz" for low, high in BANDS_HZ for q in _BAND)
    return _WHOLE + banded


def _hz(value: int) -> str:
    return f"{value // 1000}k" if value % 1000 == 0 else str(value)


def indicators(windows: npt.NDArray[np.floating], rate: int = SAMPLE_RATE) -> npt.NDArray[np.float32]:
    """Compute the indicators of each window, shape (windows, samples) to (windows, len(names()))."""
    return np.stack([_of_window(np.asarray(w, dtype=np.float64), rate) for w in windows]).astype(np.float32)


def _of_window(x: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    # Products of products: numpy's power of 3 or 4 takes as long as ten transforms.
    x = x - x.mean()
    squares = x * x
    power = float(squares.mean()) + 1e-12
    spectrum = np.fft.rfft(x)
    hz = _frequencies(len(x), rate)
    density = spectrum.real**2
    density += spectrum.imag**2
    density += 1e-12
    total = float(density.sum())
    centroid = float(hz @ density) / total
    values = [
        np.log(np.abs(x).max() / np.sqrt(power) + 1e-9),
        np.log(squares @ squares / len(x) / power**2 + 1e-9),
        x @ squares / len(x) / power**1.5,
        centroid,
        np.sqrt((hz - centroid) ** 2 @ density / total),
        _mean_log(density) - np.log(total / len(density)),
    ]
    for low, high in BANDS_HZ:
        first, last = np.searchsorted(hz, (low, high))
        values += _of_band(spectrum[first:last], len(x), rate)
    return np.array(values)


def _mean_log(density: npt.NDArray[np.float64]) -> float:
    """Return the mean logarithm of values that are 1e-12 to 1e20, from products of eight: an eighth of the work."""
    whole = len(density) // 8 * 8
    products = np.multiply.reduce(density[:whole].reshape(8, -1), axis=0)
    return float(np.log(products).sum() + np.log(density[whole:]).sum()) / len(density)


@lru_cache(maxsize=4)
def _frequencies(samples: int, rate: int) -> npt.NDArray[np.float64]:
    """Frequencies of the bins of a whole window in Hz, shape (samples // 2 + 1,)."""
    hz = np.arange(samples // 2 + 1) * (rate / samples)
    hz.flags.writeable = False
    return np.asarray(hz)


def _of_band(bins: npt.NDArray[np.complex128], samples: int, rate: int) -> list[float]:
    signal = np.fft.ifft(bins)
    squares = signal.real**2
    squares += signal.imag**2
    squares *= (2.0 * len(bins) / samples) ** 2
    envelope = np.sqrt(squares)
    power = float(squares.mean()) + 1e-15
    mean = float(envelope.mean()) + 1e-12
    modulation = np.fft.rfft(envelope - mean)
    hz = np.arange(len(modulation)) * (rate / samples)
    inside = slice(np.searchsorted(hz, MODULATION_HZ[0], "left"), np.searchsorted(hz, MODULATION_HZ[1], "right"))
    strength = modulation.real[inside] ** 2 + modulation.imag[inside] ** 2
    depth = np.sqrt(2.0 * strength.sum()) / len(envelope) / mean
    rate_hz = np.log(hz[inside]) @ strength / (strength.sum() + 1e-15)
    return [
        10.0 * np.log10(power),
        np.log(squares @ squares / len(squares) / power**2 + 1e-9),
        np.log(envelope.max() / np.sqrt(power) + 1e-9),
        np.log(depth + 1e-6),
        float(rate_hz),
    ]
