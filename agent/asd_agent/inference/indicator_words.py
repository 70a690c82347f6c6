"""Plain words for condition indicators that are higher or lower than usual."""

from __future__ import annotations

from asd_agent.features.indicators import BANDS_HZ, names

FULL_BAND = (0.0, 8000.0)
"""Lowest and highest frequency of the 16 kHz that is judged, in Hz."""
_WORDS = {
    "crest factor": ("higher peaks", "lower peaks"),
    "kurtosis": ("more knocking", "less knocking"),
    "skewness": ("a waveform that leans up", "a waveform that leans down"),
    "spectral centroid": ("a brighter sound", "a duller sound"),
    "spectral bandwidth": ("a broader spectrum", "a narrower spectrum"),
    "spectral flatness": ("more noise between the tones", "stronger tones"),
    "level": ("louder", "quieter"),
    "envelope modulation": ("more pulsation", "less pulsation"),
    "modulation rate": ("faster pulsation", "slower pulsation"),
}
"""Quantity, and the words for more and for less of it."""


def indicator_words(column: int, deviation: float) -> str:
    """Return a phrase such as `more knocking between 4 and 7.8 kHz (+5.2 spreads)`.

    Args:
        column: Column of `indicators`.
        deviation: Its deviation from the normal mean in normal spreads.
    """
    quantity, _, band = names()[column].partition(" at ")
    word = _WORDS[quantity][0 if deviation > 0 else 1]
    where = f" {band_words(*indicator_band(column))}" if band else ""
    return f"{word}{where} ({deviation:+.1f} spreads)"


def indicator_band(column: int) -> tuple[float, float]:
    """Return the lowest and highest frequency in Hz that a column of `indicators` judges."""
    per_band = sum(" at " in name for name in names()) // len(BANDS_HZ)
    banded = column - (len(names()) - per_band * len(BANDS_HZ))
    return FULL_BAND if banded < 0 else tuple(map(float, BANDS_HZ[banded // per_band]))  # type: ignore[return-value]


def band_words(low: float, high: float) -> str:
    """Return a band as `between 500 Hz and 1 kHz` or `between 4 and 7.8 kHz`."""
    if low < 1000 <= high:
        return f"between {low:.0f} Hz and {high / 1000:g} kHz"
    unit, scale = ("kHz", 1000) if low >= 1000 else ("Hz", 1)
    return f"between {low / scale:g} and {high / scale:g} {unit}"
