"""Data set on the device of a network: whole where the memory suffices, otherwise sent batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SHARE = 0.4
"""Largest share of the free memory of a device for one data set. A training has up to two, besides the network."""


def send(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device, without waiting for the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class DeviceDataset:
    """Rows of an array, such as the clips of a data set, by index.

    Args:
        rows: Any shape, the first dimension counts rows. A memory map is read batch by batch on a CPU.
        device: Device of the rows that `take` returns.
        on_device: Keep all rows on the device; by default where they fit. A CPU reads them from the array.
    """

    def __init__(self, rows: npt.NDArray[Any], device: torch.device, *, on_device: bool | None = None) -> None:
        self._rows, self._device = rows, device
        self.on_device = fits(rows.nbytes, device) if on_device is None else on_device
        self._all = torch.from_numpy(np.array(rows)).to(device) if self.on_device else None

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Return rows on the device, in the dtype of the array, shape (indices, …)."""
        if self._all is None:
            return send(self._rows[indices], self._device)
        return self._all[send(indices, self._device)]

    def excerpts(self, indices: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], length: int) -> Tensor:
        """Return an excerpt of each row.

        Args:
            indices: Indices of the rows, shape (items,).
            starts: First entry of each excerpt, shape (items,).
            length: Entries of an excerpt.

        Returns:
            Shape (items, length, …).
        """
        places = starts[:, None] + np.arange(length)
        if self._all is None:
            return send(self._rows[indices[:, None], places], self._device)
        return self._all[send(indices, self._device)[:, None], send(places, self._device)]


def fits(size: int, device: torch.device) -> bool:
    """Return whether a data set of `size` bytes may be kept on a device; never on a CPU, which has it already."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return size <= SHARE * free
