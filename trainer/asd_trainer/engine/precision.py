"""How a device computes a network's steps: precision, layout of convolutions, compilation.

On a CPU every network is computed in float32 whatever its settings say of precision, and in the layout it was built in:
the same weights come out of the same recipe as ever. Compilation alone works everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from asd_trainer.engine.settings import Computation

LOW_PRECISION_ON = ("cuda",)
"""Kinds of devices that compute networks in bfloat16 where a recipe wants it."""
CHANNELS_LAST_ON = ("cuda",)
"""Kinds of devices whose convolutions want the channels of a pixel side by side."""


def autocast(device: torch.device, settings: Computation) -> torch.autocast:
    """Within it a network is in the precision of its settings; front ends and losses stay outside."""
    wanted = settings.precision == "bfloat16" and device.type in LOW_PRECISION_ON
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


@contextmanager
def tensor_cores(settings: Computation | None = None) -> Iterator[None]:
    """Whether CUDA may round the factors of float32 products to TF32: where `precision: tf32` says so and nowhere else.

    torch by itself does in convolutions and does not in matrix products. Both are left as they were found.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    was = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = settings is not None and settings.precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = was


def for_convolutions(network: nn.Module, device: torch.device) -> None:
    """Lay out a network of 2-D convolutions as the device likes it; its state has the same names and shapes."""
    if device.type in CHANNELS_LAST_ON:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def compiled(network: nn.Module, settings: Computation) -> None:
    """Have a network compiled at its first call where its settings say so; its state keeps its names."""
    if settings.compile:
        network.compile()
