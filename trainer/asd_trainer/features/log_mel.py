"""The agent's front ends in torch, for batches and on CUDA, from the same specs, windows and filterbanks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from asd_agent.features.log_mel import FLOOR, FeatureSpec, hann, mel_filterbank
from asd_agent.features.stft import SpectrumSpec, StftSpec


class LogMel(nn.Module):
    """Log-mel spectrograms of a batch of signals, equal to `asd_agent.features.log_mel.log_mel`.

    By default everything inside is in float64: beside one loud tone, the rounding noise of a float32 Fourier transform
    lies some 120 dB below the tone, which is above the floor and would differ from library to library. Where noise is
    added to every sound anyway, float32 does, in half the time.

    Args:
        spec: The front end.
        dtype: Of what is computed inside.
    """

    window: Tensor
    filterbank: Tensor

    def __init__(self, spec: FeatureSpec, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.tensor(hann(spec.n_fft), dtype=dtype), persistent=False)
        self.register_buffer("filterbank", torch.tensor(mel_filterbank(spec), dtype=dtype), persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        """Log-mels in decibels.

        Args:
            signals: Shape (batch, samples), on this module's device.

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
    """Short-time magnitudes of a batch of signals, as `asd_agent.features.stft.linear_stft` gives them, in float32.

    Nothing here takes a logarithm, so that rounding far below the loudest bin does not count.

    Args:
        spec: The front end.
    """

    window: Tensor

    def __init__(self, spec: StftSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.tensor(hann(spec.n_fft), dtype=torch.float32), persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        """Shape (batch, samples) to (batch, frames, bins).

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
    """Magnitudes of the transform of whole signals, as `asd_agent.features.stft.fft_magnitude` gives them, in float32.

    Args:
        spec: The front end.
    """

    def __init__(self, spec: SpectrumSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, signals: Tensor) -> Tensor:
        """Shape (batch, samples) to (batch, bins)."""
        magnitudes: Tensor = torch.fft.rfft(signals, norm="ortho")[:, self.spec.kept(signals.shape[1])].abs()
        return magnitudes
