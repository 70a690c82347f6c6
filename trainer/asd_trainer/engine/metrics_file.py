"""Metrics of each training step: one JSON line for programs, TensorBoard for people."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class MetricsLog:
    """`metrics.jsonl` and TensorBoard events in a folder, cut back to the step where a training resumes.

    Lines hold no times, so that an interrupted training writes the same file as an unbroken one.

    Args:
        folder: Folder of the training.
        size: Bytes of metrics.jsonl that belong to steps before the resumption.
        step: Last of those steps; TensorBoard discards later ones.
    """

    def __init__(self, folder: Path, size: int = 0, step: int = 0) -> None:
        # Imported here because it takes a second.
        from torch.utils.tensorboard.writer import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "metrics.jsonl").open("ab")
        self._file.truncate(size)
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def add(self, step: int, **values: float) -> None:
        """Write the values of one step."""
        self._file.write((json.dumps({"step": step, **values}) + "\n").encode())
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def sync(self) -> int:
        """Flush everything to the disk.

        Returns:
            Size of metrics.jsonl in bytes.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._writer.flush()
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Write what is buffered and close the files."""
        self._file.close()
        self._writer.close()
