"""The step loop: Adam under a schedule, resumable to the same weights after a kill at any moment."""

from __future__ import annotations

import time
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
from asd_trainer.engine.loss_log import STEPS_PER_READING, DivergedError, Reading, Readings
from asd_trainer.engine.metrics_file import MetricsLog
from asd_trainer.engine.progress import StepProgress
from asd_trainer.engine.randomness import Chance, Sampler

__all__ = ["ClipLosses", "Course", "DivergedError", "Trainee", "train_steps"]

ClipLosses = Callable[[npt.NDArray[np.int64]], Tensor]
"""From indices of clips, shape (batch,), to the loss of each, shape (batch,)."""


@dataclass(frozen=True)
class Trainee:
    """What is trained and all the chance in it.

    Attributes:
        model: The network.
        clip_losses: Loss of each clip of a batch.
        sampler: Which clips come next.
        chance: Masks and dropout.
        names: Clips, for error messages.
        description: Plain values that are kept in the final checkpoint beside the weights.
        groups: Weights with their share of the learning rate; all of them at the whole where it is not given.
        prepare: Called with the number of each step before it, and with one more after the last.
        terms: What else to log of the latest step, scalars on the device by names.
    """

    model: nn.Module
    clip_losses: ClipLosses
    sampler: Sampler
    chance: Chance
    names: Sequence[str]
    description: dict[str, Any]
    groups: Sequence[tuple[Sequence[nn.Parameter], float]] = ()
    prepare: Callable[[int], None] = lambda _: None
    terms: Callable[[], Mapping[str, Tensor]] = dict


@dataclass(frozen=True)
class Course:
    """How the optimiser goes.

    Attributes:
        steps: Batches in all.
        rate: Learning rate of each step, counted from 1.
        betas: Of Adam.
        eps: Of Adam.
        clip_norm: Longest gradient; longer ones are scaled down. None leaves them.
        weight_decay: Of AdamW (Loshchilov and Hutter 2019); 0 is plain Adam.
    """

    steps: int
    rate: Callable[[int], float]
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-9
    clip_norm: float | None = None
    weight_decay: float = 0.0


def train_steps(
    trainee: Trainee,
    course: Course,
    checkpoints: Checkpoints,
    *,
    folder: Path,
    checkpoint_every: int,
    progress: StepProgress | None = None,
    clock: Callable[[], float] = time.monotonic,
    read_every: int | None = None,
) -> None:
    """Train to the last step, from the newest checkpoint if there is one, and leave the final checkpoint.

    A checkpoint is written only when every step before it has been read and found finite. How often steps are read
    changes nothing of weights and metrics.

    Args:
        trainee: What is trained.
        course: How.
        checkpoints: Where to go on from.
        folder: For the metrics.
        checkpoint_every: Steps between checkpoints.
        progress: Called after each step.
        clock: Seconds.
        read_every: Steps between two readings; what suits the device where it is not given.

    Raises:
        DivergedError: A loss or gradient is not finite; the last checkpoint is kept.
        CheckpointError: The folder holds another training.
    """
    model = trainee.model
    groups = trainee.groups or [(list(model.parameters()), 1.0)]
    optimizer = torch.optim.AdamW(
        [{"params": p} for p, _ in groups],
        lr=0.0,
        betas=course.betas,
        eps=course.eps,
        weight_decay=course.weight_decay,
    )
    first, size = 0, 0
    state = checkpoints.newest()
    if state is not None:
        first, size = state["step"], state["metrics_bytes"]
        _restore(trainee, optimizer, state)
    if read_every is None:
        read_every = STEPS_PER_READING.get(next(model.parameters()).device.type, 1)
    readings = Readings(trainee.names, first, read_every)
    started = clock()
    model.train()
    with closing(MetricsLog(folder, size, first)) as log:
        for step in range(first + 1, course.steps + 1):
            trainee.prepare(step)
            rate = course.rate(step)
            for group, (_, share) in zip(optimizer.param_groups, groups, strict=True):
                group["lr"] = share * rate
            _step(trainee, optimizer, course.clip_norm, step, rate, readings)
            last, keeps = step == course.steps, step % checkpoint_every == 0
            if not (last or keeps or readings.due):
                continue
            reading = _log(log, readings)
            if last:
                log.sync()
                trainee.prepare(step + 1)
                checkpoints.finish({"step": step, "model": model.state_dict(), **trainee.description})
            elif keeps:
                checkpoints.save(_state(trainee, optimizer, step, log.sync()))
            if progress is not None and reading is not None:
                left = (clock() - started) / (step - first) * (course.steps - step)
                progress(step, course.steps, reading.loss, left)


def _step(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    clip_norm: float | None,
    step: int,
    rate: float,
    readings: Readings,
) -> None:
    """One step, which reads nothing from the device."""
    indices = trainee.sampler.draw()
    optimizer.zero_grad(set_to_none=True)
    losses = trainee.clip_losses(indices)
    loss = losses.mean()
    loss.backward()  # type: ignore[no-untyped-call]
    longest = float("inf") if clip_norm is None else clip_norm
    norm = nn.utils.clip_grad_norm_(trainee.model.parameters(), longest)
    optimizer.step()
    readings.keep(step, rate, indices, losses, loss, norm, trainee.terms())


def _log(log: MetricsLog, readings: Readings) -> Reading | None:
    """Read what has not been read, and log it; the newest."""
    newest = None
    for newest in readings.read():
        log.add(
            newest.step, loss=newest.loss, learning_rate=newest.rate, gradient_norm=newest.gradient_norm, **newest.terms
        )
    return newest


def _state(trainee: Trainee, optimizer: torch.optim.Optimizer, step: int, size: int) -> State:
    return {
        "step": step,
        "metrics_bytes": size,
        "model": trainee.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "sampler": trainee.sampler.state(),
        "chance": trainee.chance.state(),
        **trainee.description,
    }


def _restore(trainee: Trainee, optimizer: torch.optim.Optimizer, state: State) -> None:
    trainee.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    trainee.sampler.restore(state["sampler"])
    trainee.chance.restore(state["chance"], state["step"])
