"""Classical condition-monitoring quantities of a window: crest factor, kurtosis, spectral shape, and band envelopes.

Bands are cut out of one Fourier transform and brought back as analytic signals at their own low rate, so that envelope
statistics cost little. Kurtosis of the analytic signal follows the spectral kurtosis of Antoni (MSSP 20, 2006).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

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
    x = x - x.mean()
    power = float(np.mean(x**2)) + 1e-12
    spectrum = scipy.fft.rfft(x)
    hz = np.arange(len(spectrum)) * (rate / len(x))
    density = spectrum.real**2 + spectrum.imag**2 + 1e-12
    share = density / density.sum()
    centroid = float((hz * share).sum())
    values = [
        np.log(np.abs(x).max() / np.sqrt(power) + 1e-9),
        np.log(np.mean(x**4) / power**2 + 1e-9),
        np.mean(x**3) / power**1.5,
        centroid,
        np.sqrt(((hz - centroid) ** 2 * share).sum()),
        np.mean(np.log(density)) - np.log(np.mean(density)),
    ]
    for low, high in BANDS_HZ:
        values += _of_band(spectrum[(hz >= low) & (hz < high)], len(x), rate)
    return np.array(values)


def _of_band(bins: npt.NDArray[np.complex128], samples: int, rate: int) -> list[float]:
    envelope = np.abs(scipy.fft.ifft(bins)) * (len(bins) / samples) * 2.0
    band_rate = rate * len(bins) / samples
    power = float(np.mean(envelope**2)) + 1e-15
    mean = float(envelope.mean()) + 1e-12
    modulation = scipy.fft.rfft(envelope - mean)
    hz = np.arange(len(modulation)) * (band_rate / len(envelope))
    inside = (hz >= MODULATION_HZ[0]) & (hz <= MODULATION_HZ[1])
    strength = modulation.real[inside] ** 2 + modulation.imag[inside] ** 2
    depth = np.sqrt(2.0 * strength.sum()) / len(envelope) / mean
    rate_hz = (np.log(hz[inside]) * strength).sum() / (strength.sum() + 1e-15)
    return [
        10.0 * np.log10(power),
        np.log(np.mean(envelope**4) / power**2 + 1e-9),
        np.log(envelope.max() / np.sqrt(power) + 1e-9),
        np.log(depth + 1e-6),
        float(rate_hz),
    ]
