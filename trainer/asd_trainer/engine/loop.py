"""Step loop of a training: Adam under a schedule, resumable to the same weights after a kill at any moment."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from asd_trainer.engine.checkpoint import Checkpoints, State
from asd_trainer.engine.interruption import deferred_signals, exit_code
from asd_trainer.engine.loss_log import STEPS_PER_READ, DivergedError, LoggedStep, LossLog
from asd_trainer.engine.metrics_file import MetricsLog
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import Sampler, TrainingRandomness
from asd_trainer.engine.schedule import TrainingSchedule

__all__ = ["ClipLosses", "DivergedError", "TrainingSchedule", "TrainingTask", "train_steps"]

CHECKPOINT_SECONDS = 30.0
"""Longest time between two checkpoints: what a kill or a power cut may cost."""
CHECKPOINT_SHARE = 0.02
"""Largest share of the time that checkpoints by time may take."""

ClipLosses = Callable[[npt.NDArray[np.int64]], Tensor]
"""Maps indices of clips, shape (batch,), to the loss of each, shape (batch,)."""


@dataclass(frozen=True)
class TrainingTask:
    """A network with its loss, its batches and all randomness of its training.

    Attributes:
        model: The network.
        clip_losses: Loss of each clip of a batch.
        sampler: Source of the next batch.
        randomness: Generators of masks and dropout.
        names: Names of the clips, for error messages.
        description: Plain values that are kept in the final checkpoint beside the weights.
        groups: Weights with their share of the learning rate. If it is empty, all weights take the whole rate.
        prepare: Called with the number of each step before it, and with one more after the last.
        terms: Further values of the latest step to log, scalars on the device by name.
    """

    model: nn.Module
    clip_losses: ClipLosses
    sampler: Sampler
    randomness: TrainingRandomness
    names: Sequence[str]
    description: dict[str, Any]
    groups: Sequence[tuple[Sequence[nn.Parameter], float]] = ()
    prepare: Callable[[int], None] = lambda _: None
    terms: Callable[[], Mapping[str, Tensor]] = dict


def train_steps(
    task: TrainingTask,
    schedule: TrainingSchedule,
    checkpoints: Checkpoints,
    *,
    folder: Path,
    checkpoint_every: int,
    progress: StepProgress | None = None,
    clock: Callable[[], float] = time.monotonic,
    read_every: int | None = None,
) -> None:
    """Train to the last step, from the newest checkpoint if there is one, and leave the final checkpoint.

    A checkpoint is written only when every step before it has been read and found finite. Neither weights nor metrics
    depend on how often steps are read. On SIGINT or SIGTERM a checkpoint is written after the current step, where
    `exit_on_signals` was called.

    Args:
        task: Network, losses and batches.
        schedule: Optimiser settings.
        checkpoints: Checkpoints of this training.
        folder: Folder of the metrics.
        checkpoint_every: Most steps between checkpoints; after `CHECKPOINT_SECONDS` one is written in any case.
        progress: See `StepProgress`.
        clock: Seconds, monotonic.
        read_every: Steps between two reads of the losses; by default what suits the device.

    Raises:
        DivergedError: A loss or gradient is not finite; the last checkpoint is kept.
        CheckpointError: The folder holds another training.
        SystemExit: A signal was received, and the checkpoint is written.
    """
    optimisation = _Optimisation(task, schedule)
    first, size = 0, 0
    state = checkpoints.newest()
    if state is not None:
        first, size = state["step"], state["metrics_bytes"]
        optimisation.restore(state)
    if read_every is None:
        read_every = STEPS_PER_READ.get(next(task.model.parameters()).device.type, 1)
    losses = LossLog(task.names, first, read_every)
    started = saved = clock()
    pause = CHECKPOINT_SECONDS
    task.model.train()
    with deferred_signals(), closing(MetricsLog(folder, size, first)) as log:
        for step in range(first + 1, schedule.steps + 1):
            task.prepare(step)
            optimisation.step(step, losses)
            last, code = step == schedule.steps, exit_code()
            keeps = step % checkpoint_every == 0 or code is not None or clock() - saved >= pause
            if not (last or keeps or losses.due):
                continue
            logged = _write_metrics(log, losses)
            if last:
                log.sync()
                task.prepare(step + 1)
                checkpoints.finish({"step": step, "model": task.model.state_dict(), **task.description})
            elif keeps:
                begun = clock()
                checkpoints.save(optimisation.state(step, log.sync()))
                saved = clock()
                pause = max(CHECKPOINT_SECONDS, (saved - begun) / CHECKPOINT_SHARE)
                if code is not None:
                    raise SystemExit(code)
            if progress is not None and logged is not None:
                left = (clock() - started) / (step - first) * (schedule.steps - step)
                progress(step, schedule.steps, logged.loss, left)


class _Optimisation:
    """Optimiser and scheduler of a task."""

    def __init__(self, task: TrainingTask, schedule: TrainingSchedule) -> None:
        self._task, self._schedule = task, schedule
        groups = task.groups or [(list(task.model.parameters()), 1.0)]
        self._first_share = groups[0][1]
        self._optimizer = torch.optim.AdamW(
            [{"params": weights, "lr": share * schedule.learning_rate} for weights, share in groups],
            betas=schedule.betas,
            eps=schedule.eps,
            weight_decay=schedule.weight_decay,
        )
        self._scheduler = schedule.scheduler(self._optimizer)

    def step(self, step: int, log: LossLog) -> None:
        """Train on the next batch; nothing is read from the device."""
        task, optimizer, clip_norm = self._task, self._optimizer, self._schedule.clip_norm
        indices = task.sampler.draw()
        optimizer.zero_grad(set_to_none=True)
        losses = task.clip_losses(indices)
        loss = losses.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        longest = float("inf") if clip_norm is None else clip_norm
        norm = nn.utils.clip_grad_norm_(task.model.parameters(), longest)
        rate = optimizer.param_groups[0]["lr"] / self._first_share
        optimizer.step()
        if step < self._schedule.steps:
            self._scheduler.step()
        log.keep(step, rate, indices, losses, loss, norm, task.terms())

    def state(self, step: int, size: int) -> State:
        """Return all that `restore` needs, after a step and with the size of the metrics file in bytes."""
        return {
            "step": step,
            "metrics_bytes": size,
            "model": self._task.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "sampler": self._task.sampler.state(),
            "chance": self._task.randomness.state(),
            **self._task.description,
        }

    def restore(self, state: State) -> None:
        """Continue from a state."""
        task = self._task
        task.model.load_state_dict(state["model"])
        if "scheduler" in state:
            self._optimizer.load_state_dict(state["optimizer"])
            self._scheduler.load_state_dict(state["scheduler"])
        else:
            self._restore_without_scheduler(state)
        task.sampler.restore(state["sampler"])
        task.randomness.restore(state["chance"], state["step"])

    def _restore_without_scheduler(self, state: State) -> None:
        """Take the moments of Adam from a checkpoint of version 0.1.0, and move the scheduler to its step."""
        groups = [dict(group) for group in self._optimizer.param_groups]
        self._optimizer.load_state_dict(state["optimizer"])
        for group, made in zip(self._optimizer.param_groups, groups, strict=True):
            group.update({name: value for name, value in made.items() if name != "params"})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch asks for an optimiser step before each of the scheduler's
            for _ in range(state["step"]):
                self._scheduler.step()


def _write_metrics(log: MetricsLog, losses: LossLog) -> LoggedStep | None:
    """Read the steps that have not been read, write them, and return the newest."""
    newest = None
    for newest in losses.read():
        log.add(
            newest.step, loss=newest.loss, learning_rate=newest.rate, gradient_norm=newest.gradient_norm, **newest.terms
        )
    return newest
