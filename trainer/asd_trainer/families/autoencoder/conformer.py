"""The conformer of Gulati et al. (Interspeech 2020): feed-forward, self-attention, convolution, feed-forward.

The convolution module has layer normalisation where the original has batch normalisation: it does not depend on
the batch and is one operation in an exported graph. Positions are sinusoidal and absolute (Vaswani et al. 2017), which
every runtime can run.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from asd_trainer.families.autoencoder.settings import ConformerSettings


class FeedForward(nn.Module):
    """Pre-normalised feed-forward module; shape (batch, frames, units) to the same."""

    def __init__(self, units: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.expand = nn.Linear(units, hidden)
        self.contract = nn.Linear(hidden, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to x."""
        h = self.dropout(functional.silu(self.expand(self.norm(x))))
        out: Tensor = self.dropout(self.contract(h))
        return out


class SelfAttention(nn.Module):
    """Pre-normalised multi-head self-attention; shape (batch, frames, units) to the same."""

    def __init__(self, units: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.size = heads, units // heads
        self.norm = nn.LayerNorm(units)
        self.project = nn.Linear(units, 3 * units)
        self.out = nn.Linear(units, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to x."""
        frames, units = x.shape[1], x.shape[2]
        split = self.project(self.norm(x)).unflatten(2, (3, self.heads, self.size))
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, frames, size)
        attended = functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout.p if self.training else 0.0)
        joined = attended.transpose(1, 2).reshape(-1, frames, units)
        out: Tensor = self.dropout(self.out(joined))
        return out


class Convolution(nn.Module):
    """Pre-normalised gated depthwise convolution over time; shape (batch, frames, units) to the same."""

    def __init__(self, units: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.gate = nn.Linear(units, 2 * units)
        self.depthwise = nn.Conv1d(units, units, kernel, padding=kernel // 2, groups=units)
        self.inner_norm = nn.LayerNorm(units)
        self.out = nn.Linear(units, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to x."""
        h = functional.glu(self.gate(self.norm(x)), dim=-1)
        h = self.depthwise(h.transpose(1, 2)).transpose(1, 2)  # over (batch, units, frames) and back
        out: Tensor = self.dropout(self.out(functional.silu(self.inner_norm(h))))
        return out


class ConformerBlock(nn.Module):
    """One block, with half-step feed-forward modules at either end; shape (batch, frames, units) to the same."""

    def __init__(self, settings: ConformerSettings) -> None:
        super().__init__()
        units, dropout = settings.units, settings.dropout
        self.first = FeedForward(units, settings.feedforward, dropout)
        self.attention = SelfAttention(units, settings.heads, dropout)
        self.convolution = Convolution(units, settings.kernel, dropout)
        self.last = FeedForward(units, settings.feedforward, dropout)
        self.norm = nn.LayerNorm(units)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        x = x + 0.5 * self.last(x)
        out: Tensor = self.norm(x)
        return out


def sinusoidal_positions(frames: int, units: int) -> Tensor:
    """Return position encodings: sin(t·ω_i) in the first half of the units, cos(t·ω_i) in the second.

    ω_i = 10000^(-2i/units).

    Returns:
        Shape (frames, units).
    """
    rates = torch.exp(torch.arange(0, units, 2, dtype=torch.float64) * (-math.log(10_000.0) / units))
    angles = torch.arange(frames, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


class Conformer(nn.Module):
    """Position encodings and a stack of blocks; shape (batch, frames, units) to the same.

    Args:
        frames: Frames of every sequence.
        settings: Size of the network.
    """

    positions: Tensor

    def __init__(self, frames: int, settings: ConformerSettings) -> None:
        super().__init__()
        self.register_buffer("positions", sinusoidal_positions(frames, settings.units), persistent=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(ConformerBlock(settings) for _ in range(settings.blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Return the encoded sequence."""
        x = self.dropout(x + self.positions)
        for block in self.blocks:
            x = block(x)
        return x
