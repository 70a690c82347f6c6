"""Precision, memory layout of convolutions and compilation of a network, by device.

On a CPU every network is computed in float32 and in the layout it was built in, whatever its settings: a recipe always
gives the same weights there. Only compilation works on every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from asd_agent.errors import AsdError
from asd_trainer.engine.settings import Computation

LOW_PRECISION_ON = ("cuda",)
"""Kinds of devices that compute networks in bfloat16 where a recipe asks for it."""
CHANNELS_LAST_ON = ("cuda",)
"""Kinds of devices whose convolutions are faster with the channels of a pixel adjacent in memory."""


def choose_device(wanted: str) -> torch.device:
    """Return the device that a training runs on: `auto` is CUDA where there is one, else the CPU.

    Raises:
        AsdError: CUDA is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise AsdError("the recipe wants a CUDA device and torch finds none", "Set `device: auto`.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, settings: Computation) -> torch.autocast:
    """Return a context in which a network computes in the precision of its settings; losses stay outside."""
    wanted = settings.precision == "bfloat16" and device.type in LOW_PRECISION_ON
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


@contextmanager
def tensor_cores(settings: Computation | None = None) -> Iterator[None]:
    """Let CUDA round the factors of float32 products to TF32 if the precision is `tf32`, and not otherwise.

    By default torch does so in convolutions but not in matrix products. Both switches are restored at the end.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    was = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = settings is not None and settings.precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = was


def for_convolutions(network: nn.Module, device: torch.device) -> None:
    """Convert a network of 2-D convolutions to the fastest layout of the device; its state keeps names and shapes."""
    if device.type in CHANNELS_LAST_ON:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def compiled(network: nn.Module, settings: Computation) -> None:
    """Mark a network for compilation at its first call if its settings ask for it; its state keeps its names."""
    if settings.compile:
        network.compile()
