"""Log-mel spectrograms in numpy, equal to librosa's.

A `FeatureSpec` holds every setting of a front end; the trainer's torch front end is built from the same spec and the
same filterbank. Mel scales follow Slaney's Auditory Toolbox and HTK, as librosa.filters.mel does.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.features.frames import framed, power_spectra

Array = npt.NDArray[np.float32]
MOST_SAMPLE_RATE = 768_000
"""Hz; no sound card samples faster."""
MOST_N_FFT = 1 << 16
"""Samples; 4 s at 16 kHz, beyond any short-time transform."""
MOST_MELS = 2048
MOST_FILTERBANK = 1 << 24
"""n_fft · n_mels: 67 MB of float64. The largest of a recipe, 4096 by 128, has a thirty-second of it."""


class FeatureSpec(BaseModel):
    """Settings of the log-mel front end.

    The power spectrum (or magnitude, `power` 1) of Hann-windowed frames is summed in mel bands and given in decibels,
    20 / power · log10(max(band, floor^power)), with floor 1e-5.

    Attributes:
        kind: The only kind so far.
        sample_rate: Hz.
        n_fft: Frame length in samples; even.
        hop_length: Samples from frame to frame.
        n_mels: Mel bands.
        f_min: Lower edge in Hz.
        f_max: Upper edge in Hz; at most half the sample rate.
        mel_scale: Slaney's piecewise scale or HTK's logarithmic one.
        mel_norm: Slaney's area normalisation, or none.
        power: 1 for magnitudes, 2 for powers.
        center: Pad by half a frame at either end, so that frame t is centred on sample t · hop.
        pad_mode: Content of the padding.

    Example:
        >>> spec = FeatureSpec(n_fft=1024, hop_length=512, n_mels=64)
        >>> spec.frames(160_000), spec.frame_seconds()
        (313, 0.032)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["log_mel"] = "log_mel"
    sample_rate: int = Field(default=SAMPLE_RATE, ge=1, le=MOST_SAMPLE_RATE)
    n_fft: int = Field(default=1024, le=MOST_N_FFT)
    hop_length: int = Field(default=512, le=MOST_N_FFT)
    n_mels: int = Field(default=128, le=MOST_MELS)
    f_min: float = 0.0
    f_max: float = 8000.0
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    power: Literal[1, 2] = 2
    center: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"

    @model_validator(mode="after")
    def _possible(self) -> FeatureSpec:
        if self.n_fft < 2 or self.n_fft % 2:
            raise ValueError(f"n_fft is {self.n_fft}; it must be even and at least 2")
        if self.hop_length < 1 or self.n_mels < 1:
            raise ValueError("hop_length and n_mels must be at least 1")
        if self.n_fft * self.n_mels > MOST_FILTERBANK:
            raise ValueError(f"n_fft {self.n_fft} with n_mels {self.n_mels} needs a filterbank that is too large")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(f"f_min {self.f_min} and f_max {self.f_max} must be within 0 to {self.sample_rate / 2} Hz")
        return self

    def frames(self, samples: int) -> int:
        """Return the number of frames of a signal of this many samples."""
        if not self.center:
            samples -= self.n_fft
        return 1 + samples // self.hop_length if samples >= 0 else 0

    def frame_seconds(self) -> float:
        """Return the time from frame to frame in seconds."""
        return self.hop_length / self.sample_rate


FLOOR = 1e-5
"""Smallest magnitude of a band: -100 dB."""
_BANDS_OF_GROUP = 16
"""Mel bands that one product computes. Fewer multiply fewer zeros, but small products cost more each."""


def hz_to_mel(hz: npt.ArrayLike, scale: Literal["slaney", "htk"]) -> npt.NDArray[np.float64]:
    """Convert frequencies in Hz to a mel scale; any shape."""
    f = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + f / 700.0))
    linear = f / (200.0 / 3)
    return np.where(f >= 1000.0, 15.0 + np.log(np.maximum(f, 1e-9) / 1000.0) / (np.log(6.4) / 27.0), linear)


def mel_to_hz(mels: npt.ArrayLike, scale: Literal["slaney", "htk"]) -> npt.NDArray[np.float64]:
    """Convert mel values to Hz; the inverse of `hz_to_mel`."""
    m = np.asarray(mels, dtype=np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (m / 2595.0) - 1.0))
    return np.where(m >= 15.0, 1000.0 * np.exp((np.log(6.4) / 27.0) * (m - 15.0)), m * (200.0 / 3))


def mel_centres(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Centre frequency of each mel band in Hz, shape (n_mels,)."""
    return _mel_edges(spec)[1:-1]


def _mel_edges(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    low, high = hz_to_mel([spec.f_min, spec.f_max], spec.mel_scale)
    return mel_to_hz(np.linspace(low, high, spec.n_mels + 2), spec.mel_scale)


@lru_cache(maxsize=16)
def mel_filterbank(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Triangular mel filters, shape (n_fft // 2 + 1, n_mels)."""
    edges = _mel_edges(spec)
    bins = np.linspace(0.0, spec.sample_rate / 2, spec.n_fft // 2 + 1)
    widths = np.diff(edges)
    slopes = edges[None, :] - bins[:, None]
    rising = -slopes[:, :-2] / widths[:-1]
    falling = slopes[:, 2:] / widths[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if spec.mel_norm == "slaney":
        filters *= 2.0 / (edges[2:] - edges[:-2])
    filters.flags.writeable = False
    return np.asarray(filters)


@lru_cache(maxsize=16)
def _filter_groups(spec: FeatureSpec) -> tuple[tuple[slice, slice, Array], ...]:
    """Mel filters in groups of neighbours: bands, bins that they cover, and weights, shape (bins, bands)."""
    filters = mel_filterbank(spec)
    groups = []
    for first in range(0, spec.n_mels, _BANDS_OF_GROUP):
        bands = slice(first, min(first + _BANDS_OF_GROUP, spec.n_mels))
        covered = np.flatnonzero(filters[:, bands].any(axis=1))
        bins = slice(int(covered[0]), int(covered[-1]) + 1) if covered.size else slice(0, 1)
        groups.append((bands, bins, np.ascontiguousarray(filters[bins, bands], dtype=np.float32)))
    return tuple(groups)


def log_mel(signal: npt.NDArray[np.floating], spec: FeatureSpec) -> Array:
    """Compute the log-mel spectrogram of a signal.

    Args:
        signal: Mono signal, shape (samples,).
        spec: Settings of the front end.

    Returns:
        Decibels, shape (frames, n_mels).

    Raises:
        ValueError: The signal is too short for one frame.

    Example:
        A tone of 1 kHz at full scale is loudest in the band around 1 kHz.

        >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
        >>> spec = FeatureSpec(n_mels=64)
        >>> levels = log_mel(tone, spec)
        >>> levels.shape
        (32, 64)
        >>> round(float(mel_centres(spec)[levels[16].argmax()]))
        1022
    """
    frames = framed(signal, spec.n_fft, spec.hop_length, center=spec.center, pad_mode=spec.pad_mode)
    bands = np.empty((len(frames), spec.n_mels), np.float32)
    groups = _filter_groups(spec)
    for part, powers in power_spectra(frames):
        if spec.power == 1:
            np.sqrt(powers, out=powers)
        for columns, bins, weights in groups:
            np.matmul(powers[:, bins], weights, out=bands[part, columns])
    np.maximum(bands, np.float32(FLOOR**spec.power), out=bands)
    # float32 logarithms are vectorised on every processor, float64 ones only with AVX-512; they differ by 3e-5 dB.
    np.log(bands, out=bands)
    return np.multiply(bands, np.float32(20.0 / spec.power / math.log(10.0)), out=bands)
