"""Front ends of the agent in torch, for batches and CUDA, from the same specs, windows and filterbanks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from asd_agent.features.frames import hann
from asd_agent.features.log_mel import FLOOR, FeatureSpec, mel_filterbank
from asd_agent.features.stft import SpectrumSpec, StftSpec


class LogMel(nn.Module):
    """Log-mel spectrograms of a batch of signals, equal to `asd_agent.features.log_mel.log_mel`.

    By default it computes in float64. The rounding noise of a float32 Fourier transform is about 120 dB below a loud
    tone, which is above the floor and differs between libraries. float32 suffices where noise is added to every signal
    anyway; it takes half the time.

    Args:
        spec: Settings of the front end.
        dtype: Type of the internal computation.

    Examples:
        >>> spec = FeatureSpec()
        >>> signals = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
        >>> features = LogMel(spec)(signals)
        >>> features.shape == (2, spec.frames(16_000), spec.n_mels)
        True
        >>> features.dtype
        torch.float32
    """

    window: Tensor
    filterbank: Tensor

    def __init__(self, spec: FeatureSpec, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.tensor(hann(spec.n_fft), dtype=dtype), persistent=False)
        self.register_buffer("filterbank", torch.tensor(mel_filterbank(spec), dtype=dtype), persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        """Return log-mels in decibels.

        Args:
            signals: Signals, full scale ±1, shape (batch, samples), on the device of this module.

        Returns:
            float32, shape (batch, frames, n_mels).

        Raises:
            ValueError: The signals are too short for one frame.
        """
        spec = self.spec
        x = signals.to(self.window.dtype)
        if spec.center:
            half = spec.n_fft // 2
            if spec.pad_mode == "reflect" and x.shape[1] <= half:
                raise ValueError(f"{x.shape[1]} samples are too few to reflect {half}")
            x = functional.pad(x, (half, half), mode=spec.pad_mode)
        if x.shape[1] < spec.n_fft:
            raise ValueError(f"{x.shape[1]} samples are fewer than one frame of {spec.n_fft}")
        frames = x.unfold(1, spec.n_fft, spec.hop_length)  # (batch, frames, n_fft)
        spectrum = torch.fft.rfft(frames * self.window)
        magnitude = spectrum.real.square() + spectrum.imag.square()
        if spec.power == 1:
            magnitude = magnitude.sqrt()
        bands = magnitude @ self.filterbank
        decibels: Tensor = 20.0 / spec.power * bands.clamp(min=FLOOR**spec.power).log10()
        return decibels.float()


class LinearStft(nn.Module):
    """Short-time magnitudes of a batch of signals in float32, equal to `asd_agent.features.stft.linear_stft`.

    No logarithm follows, so that rounding far below the loudest bin does not matter.

    Args:
        spec: Settings of the front end.
    """

    window: Tensor

    def __init__(self, spec: StftSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.tensor(hann(spec.n_fft), dtype=torch.float32), persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        """Return magnitudes, shape (batch, samples) to (batch, frames, bins).

        Raises:
            ValueError: The signals are too short for one frame.
        """
        spec = self.spec
        x = functional.pad(signals, (spec.n_fft // 2, spec.n_fft // 2)) if spec.center else signals
        if x.shape[1] < spec.n_fft:
            raise ValueError(f"{x.shape[1]} samples are fewer than one frame of {spec.n_fft}")
        frames = x.unfold(1, spec.n_fft, spec.hop_length)  # (batch, frames, n_fft)
        magnitudes: Tensor = torch.fft.rfft(frames * self.window, norm="ortho")[..., spec.kept(spec.n_fft)].abs()
        return magnitudes


class Spectrum(nn.Module):
    """Magnitudes of the transform of whole signals in float32, equal to `asd_agent.features.stft.fft_magnitude`.

    Args:
        spec: Settings of the front end.
    """

    def __init__(self, spec: SpectrumSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, signals: Tensor) -> Tensor:
        """Return magnitudes, shape (batch, samples) to (batch, bins)."""
        magnitudes: Tensor = torch.fft.rfft(signals, norm="ortho")[:, self.spec.kept(signals.shape[1])].abs()
        return magnitudes
