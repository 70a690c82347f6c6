"""Log of the losses of training steps, kept on the device and read by the host many steps at once.

Before the host can read a number from a CUDA device, the device has to finish all its queued work. It is then idle
until the host queues more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_agent.errors import AsdError

STEPS_PER_READ = {"cuda": 50}
"""Steps between two reads, by kind of device; on any other every step is read. A CPU has nothing to wait for. 50 is
a choice: a message about a loss that is not finite comes at most that late."""
FIRST_STEPS = 5
"""Steps of a call that are read one by one. A training that diverges from the beginning fails at once, and an estimate
of hours needs few steps."""


class DivergedError(AsdError):
    """A loss or gradient is no longer finite."""


@dataclass(frozen=True)
class LoggedStep:
    """Loss and gradient of one training step.

    Attributes:
        step: Number of the step, from 1.
        loss: Mean loss over the clips of the batch.
        gradient_norm: Length of the gradient before clipping.
        rate: Learning rate.
        terms: Further logged values by name.
    """

    step: int
    loss: float
    gradient_norm: float
    rate: float
    terms: Mapping[str, float]


@dataclass(frozen=True)
class _UnreadStep:
    step: int
    rate: float
    indices: npt.NDArray[np.int64]
    losses: Tensor
    loss: Tensor
    norm: Tensor
    terms: Mapping[str, Tensor]

    @property
    def numbers(self) -> list[Tensor]:
        return [self.losses, *(value.reshape(1) for value in (self.loss, self.norm, *self.terms.values()))]


class LossLog:
    """Losses of the steps that have not been read from the device yet.

    Args:
        names: Names of the clips, for error messages.
        first: Number of steps that an earlier call has done.
        every: Steps between two reads, after the first few.
    """

    def __init__(self, names: Sequence[str], first: int, every: int) -> None:
        self._names, self._first, self._every = names, first, every
        self._unread: list[_UnreadStep] = []

    def keep(
        self,
        step: int,
        rate: float,
        indices: npt.NDArray[np.int64],
        losses: Tensor,
        loss: Tensor,
        norm: Tensor,
        terms: Mapping[str, Tensor],
    ) -> None:
        """Keep the values of a step without waiting for the device.

        Args:
            step: Number of the step.
            rate: Learning rate.
            indices: Indices of its clips, shape (batch,).
            losses: Loss of each clip, shape (batch,).
            loss: Mean loss, a scalar like the following.
            norm: Length of the gradient.
            terms: Further values to log, by name.
        """
        self._unread.append(_UnreadStep(step, rate, indices, losses.detach(), loss.detach(), norm, terms))

    @property
    def due(self) -> bool:
        """True when it is time to read."""
        done = self._unread[-1].step - self._first if self._unread else 0
        return 0 < done <= FIRST_STEPS or len(self._unread) >= self._every

    def read(self) -> Iterator[LoggedStep]:
        """Yield the steps since the last read in their order; wait for the device once.

        Raises:
            DivergedError: A loss or gradient is not finite; the steps before it have been yielded.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        numbers = torch.cat([number.float() for one in unread for number in one.numbers]).cpu().numpy()
        place = 0
        for one in unread:
            count = len(one.losses)
            losses, (loss, norm, *terms) = np.split(numbers[place : place + count + 2 + len(one.terms)], [count])
            place += count + 2 + len(one.terms)
            self._check(one, losses, float(norm))
            named = {name: float(value) for name, value in zip(one.terms, terms, strict=True)}
            yield LoggedStep(one.step, float(loss), float(norm), one.rate, named)

    def _check(self, one: _UnreadStep, losses: npt.NDArray[np.float32], norm: float) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            clip = self._names[int(one.indices[bad[0]])]
            raise _diverged(
                f"the loss is not finite at step {one.step}, on clip {clip} ({len(bad)} of {len(losses)} clips)"
            )
        if not np.isfinite(norm):
            worst = self._names[int(one.indices[int(losses.argmax())])]
            raise _diverged(f"the gradient is not finite at step {one.step}; the clip with the largest loss is {worst}")


def _diverged(what: str) -> DivergedError:
    return DivergedError(what, "Lower the learning rate or look at that clip; the last checkpoint is kept.")
