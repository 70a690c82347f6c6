"""All sources of randomness in a training: seeded once, kept in checkpoints, restored at the end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch


def stream_seed(seed: int, purpose: str) -> int:
    """Return a seed for one purpose, so that trainings with neighbouring seeds share no stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7], "big")


class Sampler(Protocol):
    """Source of batches that can be resumed."""

    def draw(self) -> npt.NDArray[np.int64]:
        """Return the indices of the next batch, shape (batch,)."""

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` needs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""


class BatchSampler:
    """Batches of indices: every item once in random order, then every item again in a new order.

    Args:
        items: Number of items.
        batch: Indices in a batch; a batch may reach from one order into the next.
        seed: Seed of the orders.
    """

    def __init__(self, items: int, batch: int, seed: int) -> None:
        self._items, self._batch = items, batch
        self._generator = torch.Generator().manual_seed(stream_seed(seed, "batches"))
        self._left = torch.empty(0, dtype=torch.int64)

    def draw(self) -> npt.NDArray[np.int64]:
        """Return the next batch, shape (batch,)."""
        while len(self._left) < self._batch:
            self._left = torch.cat([self._left, torch.randperm(self._items, generator=self._generator)])
        drawn, self._left = self._left[: self._batch], self._left[self._batch :].clone()
        return np.asarray(drawn.numpy())

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` needs."""
        return {"generator": self._generator.get_state(), "left": self._left}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._generator.set_state(state["generator"])
        self._left = state["left"]


class JointSampler:
    """Batches with a fixed number of indices from each of several sets; items are numbered on from set to set.

    Args:
        items: Number of items of each set.
        batch: Number of indices from each set in a batch.
        seed: Seed of the orders.
    """

    def __init__(self, items: Sequence[int], batch: Sequence[int], seed: int) -> None:
        pairs = enumerate(zip(items, batch, strict=True))
        self._samplers = [BatchSampler(n, b, stream_seed(seed, f"set {k}")) for k, (n, b) in pairs]
        self._firsts = [sum(items[:k]) for k in range(len(items))]

    def draw(self) -> npt.NDArray[np.int64]:
        """Return the next batch, set after set, shape (batch,)."""
        drawn = zip(self._samplers, self._firsts, strict=True)
        return np.concatenate([sampler.draw() + first for sampler, first in drawn])

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` needs."""
        return {str(k): sampler.state() for k, sampler in enumerate(self._samplers)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        for k, sampler in enumerate(self._samplers):
            sampler.restore(state[str(k)])


class TrainingRandomness:
    """Generators of masks and of dropout.

    Args:
        seed: Seed of the training.
        device: Device on which masks and dropout are drawn.

    Attributes:
        masks: Generator of what is drawn on the device.
        host: Generator of numbers that the host needs; on a CPU it is the same one.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed, self._device = seed, device
        self.masks = torch.Generator(device).manual_seed(stream_seed(seed, "masks"))
        apart = device.type != "cpu"  # numbers drawn on a device cannot be read without waiting for it
        self.host = torch.Generator().manual_seed(stream_seed(seed, "host")) if apart else self.masks
        torch.manual_seed(stream_seed(seed, "network"))

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` needs."""
        network = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else torch.get_rng_state()
        own = {} if self.host is self.masks else {"host": self.host.get_state()}
        return {"device": self._device.type, "masks": self.masks.get_state(), "network": network, **own}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Continue from a state; one of another kind of device is replaced by a reproducible seed."""
        if state["device"] != self._device.type:
            self.masks.manual_seed(stream_seed(self._seed, f"masks from step {step}"))
            if self.host is not self.masks:
                self.host.manual_seed(stream_seed(self._seed, f"host from step {step}"))
            torch.manual_seed(stream_seed(self._seed, f"network from step {step}"))
            return
        self.masks.set_state(state["masks"])
        if self.host is not self.masks:
            self.host.set_state(state["host"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["network"], self._device)
        else:
            torch.set_rng_state(state["network"])


@contextmanager
def own_randomness(device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Restore torch's generators and its determinism switch at the end of the block.

    `deterministic` makes torch refuse operations whose result depends on the order of threads.
    """
    was, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if deterministic and device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.use_deterministic_algorithms(deterministic)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was, warn_only=warn_only)
