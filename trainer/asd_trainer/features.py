"""The agent's log-mel front end in torch, for batches and on CUDA, from the same spec, window and filterbank."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from asd_agent.features import FLOOR, FeatureSpec, hann, mel_filterbank


class LogMel(nn.Module):
    """Log-mel spectrograms of a batch of signals, equal to `asd_agent.features.log_mel`.

    Everything inside is in float64: beside one loud tone, the rounding noise of a float32 Fourier transform lies
    some 120 dB below the tone, which is above the floor and would differ from library to library.

    Args:
        spec: The front end.
    """

    window: Tensor
    filterbank: Tensor

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.tensor(hann(spec.n_fft)), persistent=False)
        self.register_buffer("filterbank", torch.tensor(mel_filterbank(spec)), persistent=False)

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
        x = signals.to(torch.float64)
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
