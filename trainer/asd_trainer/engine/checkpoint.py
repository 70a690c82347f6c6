"""Checkpoints of a training: `checkpoint.pt` while it runs, `final.pt` when it is done. Each is whole or absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from asd_agent.errors import AsdError
from asd_agent.whole_files import STAGE, whole_file

State = dict[str, Any]


class CheckpointError(AsdError):
    """A checkpoint is damaged or belongs to another training."""


class Checkpoints:
    """Checkpoints in the folder of a training.

    Args:
        folder: Folder of the training.
        inputs: Digest of everything that decides the result.
    """

    def __init__(self, folder: Path, inputs: str) -> None:
        self._inputs = inputs
        self._running, self.final = folder / "checkpoint.pt", folder / "final.pt"

    def save(self, state: State) -> None:
        """Replace the state of the unfinished training."""
        _write(self._running, {**state, "inputs": self._inputs})

    def finish(self, state: State) -> None:
        """Write the result and remove what only a resumption needs."""
        _write(self.final, {**state, "inputs": self._inputs})
        self._tidy()

    def finished(self) -> bool:
        """Return whether the result exists.

        Raises:
            CheckpointError: The result belongs to another training.
        """
        there = self._read(self.final) is not None
        if there:
            self._tidy()  # a kill may have come between the result and this
        return there

    def newest(self) -> State | None:
        """Return the state to continue from, None at the start.

        Raises:
            CheckpointError: The state belongs to another training.
        """
        return self._read(self._running)

    def _tidy(self) -> None:
        self._running.unlink(missing_ok=True)
        for pattern in (f"{STAGE}*", ".*.partial"):  # left by a kill; the second by version 0.1.0
            for left in self.final.parent.glob(pattern):
                left.unlink(missing_ok=True)

    def _read(self, path: Path) -> State | None:
        if not path.exists():
            return None
        state = read_checkpoint(path)
        if state["inputs"] != self._inputs:
            raise CheckpointError(
                f"{path}: belongs to a training with other data, recipe or seed",
                f"Name another folder, or remove {path.parent} to train anew.",
            )
        return state


def read_checkpoint(path: Path) -> State:
    """Read a checkpoint of tensors and plain values; no code in it is executed.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such checkpoint", "Train first.") from error
    except Exception as error:  # torch raises what its reader happens to meet
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint: {error}", "Remove it and train anew."
        ) from error
    if not isinstance(state, dict) or "inputs" not in state:
        raise CheckpointError(f"{path}: is not a checkpoint of this trainer", "Name one that it wrote.")
    return state


def _write(path: Path, state: State) -> None:
    with whole_file(path) as partial:
        torch.save(state, partial)
