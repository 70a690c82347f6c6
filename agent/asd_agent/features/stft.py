"""Linear spectra of a window: short-time magnitudes, and the spectrum of the whole, which resolves a tenth of a hertz.

As for log-mels, a spec holds every setting; the trainer's torch front ends are built from the same specs.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.features.frames import framed, power_spectra
from asd_agent.features.log_mel import MOST_N_FFT, MOST_SAMPLE_RATE, Array, FeatureSpec, log_mel


class _BandSpec(BaseModel):
    """Bins of a transform that are kept: those from `f_min` to `f_max`, both ends included, in Hz."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sample_rate: int = Field(default=SAMPLE_RATE, ge=1, le=MOST_SAMPLE_RATE)
    f_min: float = 0.0
    f_max: float = 8000.0

    @model_validator(mode="after")
    def _possible_band(self) -> _BandSpec:
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(f"f_min {self.f_min} and f_max {self.f_max} must be within 0 to {self.sample_rate / 2} Hz")
        return self

    def kept(self, n_fft: int) -> slice:
        """Return the kept bins of a transform of so many samples."""
        low, high = (f * n_fft / self.sample_rate for f in (self.f_min, self.f_max))
        return slice(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)


class StftSpec(_BandSpec):
    """Settings of short-time magnitudes: Hann-windowed frames, orthonormal transform.

    Attributes:
        n_fft: Frame length in samples; even.
        hop_length: Samples from frame to frame.
        f_min: Lowest frequency in Hz.
        f_max: Highest; at most half the sample rate.
        center: Pad by half a frame of zeros at either end, so that frame t is centred on sample t · hop.
    """

    kind: Literal["linear_stft"] = "linear_stft"
    n_fft: int = Field(default=1024, le=MOST_N_FFT)
    hop_length: int = Field(default=512, le=MOST_N_FFT)
    center: bool = True

    @model_validator(mode="after")
    def _possible(self) -> StftSpec:
        if self.n_fft < 2 or self.n_fft % 2 or self.hop_length < 1:
            raise ValueError("n_fft must be even and at least 2, hop_length at least 1")
        return self

    def shape(self, samples: int) -> tuple[int, int]:
        """Return frames and bins of a signal of this many samples."""
        inner = samples if self.center else samples - self.n_fft
        bins = self.kept(self.n_fft)
        return 1 + inner // self.hop_length, bins.stop - bins.start


class SpectrumSpec(_BandSpec):
    """Settings of magnitudes of the orthonormal transform of a whole window, without a Hann window.

    Attributes:
        f_min: Lowest frequency in Hz.
        f_max: Highest; at most half the sample rate.
    """

    kind: Literal["fft_magnitude"] = "fft_magnitude"

    def shape(self, samples: int) -> tuple[int]:
        """Return the number of bins of a signal of this many samples."""
        bins = self.kept(samples)
        return (bins.stop - bins.start,)


InputSpec = Annotated[FeatureSpec | StftSpec | SpectrumSpec, Field(discriminator="kind")]
"""Any front end."""


def linear_stft(signal: npt.NDArray[np.floating], spec: StftSpec) -> Array:
    """Compute short-time magnitudes.

    Args:
        signal: Mono signal, shape (samples,).
        spec: Settings of the front end.

    Returns:
        Shape (frames, bins), at least 0.

    Raises:
        ValueError: The signal is too short for one frame.
    """
    frames = framed(signal, spec.n_fft, spec.hop_length, center=spec.center)
    bins = spec.kept(spec.n_fft)
    found = np.empty((len(frames), bins.stop - bins.start), np.float32)
    for part, powers in power_spectra(frames):
        np.sqrt(powers[:, bins], out=found[part])
    found *= np.float32(1.0 / math.sqrt(spec.n_fft))
    return found


def fft_magnitude(signal: npt.NDArray[np.floating], spec: SpectrumSpec) -> Array:
    """Compute magnitudes of the whole signal's transform, shape (samples,) to (bins,), at least 0."""
    x = np.asarray(signal, dtype=np.float64)
    spectrum = np.fft.rfft(x, norm="ortho")[spec.kept(len(x))]
    # np.abs calls hypot, which is vectorised only with AVX-512.
    return np.sqrt(spectrum.real**2 + spectrum.imag**2, dtype=np.float64).astype(np.float32)


def front_end(signal: npt.NDArray[np.floating], spec: FeatureSpec | StftSpec | SpectrumSpec) -> Array:
    """Apply any front end to a signal.

    Raises:
        ValueError: The signal is too short for one frame.
    """
    if isinstance(spec, FeatureSpec):
        return log_mel(signal, spec)
    return linear_stft(signal, spec) if isinstance(spec, StftSpec) else fft_magnitude(signal, spec)
