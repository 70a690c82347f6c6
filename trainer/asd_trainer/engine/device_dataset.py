"""Data sets beside the network that learns from them: on its device where there is room, else sent batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SHARE = 0.4
"""Of a device's free memory that one data set may take: a training has up to two, and the network needs the rest."""


def send(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device, without waiting for the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Resident:
    """Rows of an array, such as the clips of a data set, by their numbers.

    Args:
        rows: Any shape; may be a memory map, which is then read batch by batch on a CPU.
        device: Where rows are wanted.
        inside: Whether they all lie there; where it is not given, if there is room. A CPU takes them from the array.
    """

    def __init__(self, rows: npt.NDArray[Any], device: torch.device, *, inside: bool | None = None) -> None:
        self._rows, self._device = rows, device
        self.inside = fits(rows.nbytes, device) if inside is None else inside
        self._all = torch.from_numpy(np.array(rows)).to(device) if self.inside else None

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, numbers: npt.NDArray[np.int64]) -> Tensor:
        """The rows of these numbers on the device, in the array's own type."""
        if self._all is None:
            return send(self._rows[numbers], self._device)
        return self._all[send(numbers, self._device)]

    def excerpts(self, numbers: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], length: int) -> Tensor:
        """So many entries of each of these rows, each from its start.

        Args:
            numbers: Of rows, shape (items,).
            starts: First entry of each, shape (items,).
            length: Entries.

        Returns:
            Shape (items, length, …).
        """
        places = starts[:, None] + np.arange(length)
        if self._all is None:
            return send(self._rows[numbers[:, None], places], self._device)
        return self._all[send(numbers, self._device)[:, None], send(places, self._device)]


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes may lie on a device; never on a CPU, where they lie already."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return size <= SHARE * free
