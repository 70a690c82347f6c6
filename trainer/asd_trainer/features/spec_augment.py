"""SpecAugment (Park et al. 2019) and input dropout as one operation: a mask of the cells that are kept.

The paper masks both in training and at inference (section 3.1). The network fills a hidden cell with the mean of its
mel band; nothing is rescaled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_trainer.features.settings import MaskSettings


def keep_mask(batch: int, frames: int, n_mels: int, settings: MaskSettings, generator: torch.Generator) -> Tensor:
    """Draw a mask of the cells that are kept, independently for every item of a batch.

    Args:
        batch: Number of items.
        frames: Frames of each item.
        n_mels: Mel bands.
        settings: Numbers and widths of masks. A width is drawn uniformly including both limits, and the start
            uniformly among the positions where the mask fits.
        generator: Generator; the result is on its device.

    Returns:
        Booleans, shape (batch, frames, n_mels); False hides a cell.
    """
    in_time = _uncovered(batch, frames, settings.time_masks, settings.time_width, generator)
    in_freq = _uncovered(batch, n_mels, settings.freq_masks, settings.freq_width, generator)
    keep = in_time[:, :, None] & in_freq[:, None, :]
    if settings.input_dropout > 0:
        noise = torch.rand(batch, frames, n_mels, generator=generator, device=generator.device)
        keep &= noise >= settings.input_dropout
    return keep


def _uncovered(batch: int, length: int, masks: int, width: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return True where no mask covers a position, shape (batch, length)."""
    device = generator.device
    low, high = (min(w, length) for w in width)
    widths = torch.randint(low, high + 1, (batch, masks, 1), generator=generator, device=device)
    share = torch.rand(batch, masks, 1, generator=generator, device=device, dtype=torch.float64)
    starts = (share * (length - widths + 1)).long()
    positions = torch.arange(length, device=device)
    covered = (positions >= starts) & (positions < starts + widths)  # (batch, masks, length)
    return ~covered.any(dim=1)


def mask_bank(replicas: int, frames: int, n_mels: int, settings: MaskSettings, seed: int) -> npt.NDArray[np.uint8]:
    """Return the fixed masks of test-time replicas, for the bundle.

    Returns:
        0/1, shape (replicas, frames, n_mels); 0 hides a cell. Equal arguments give equal masks.
    """
    generator = torch.Generator().manual_seed(seed)
    return keep_mask(replicas, frames, n_mels, settings, generator).to(torch.uint8).numpy()
