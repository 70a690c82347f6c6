"""What the steps of a training came to, kept on its device and read by the host once in a while.

To read a number from a CUDA device the host has to wait until the device has done all that was asked of it, and the
device is then idle until the host asks for more. So numbers are read of many steps at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asd_agent.errors import AsdError

STEPS_PER_READING = {"cuda": 50}
"""Of a kind of device; every step is read of one that is not named. A CPU has nothing to wait for."""
SINGLY = 5
"""The first steps of a call are read one by one: what is wrong from the beginning is told at once, and whoever
estimates hours need not train for long."""


class DivergedError(AsdError):
    """A loss or gradient is no longer finite."""


@dataclass(frozen=True)
class Reading:
    """What one step came to.

    Attributes:
        step: Its number.
        loss: The mean over its clips.
        gradient_norm: Before it was cut.
        rate: Learning rate.
        terms: What else is to be logged, by names.
    """

    step: int
    loss: float
    gradient_norm: float
    rate: float
    terms: Mapping[str, float]


@dataclass(frozen=True)
class _Unread:
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


class Readings:
    """Steps that have not been read yet.

    Args:
        names: Of the clips, for error messages.
        first: Steps that an earlier call has done.
        every: Steps a reading, after the first few.
    """

    def __init__(self, names: Sequence[str], first: int, every: int) -> None:
        self._names, self._first, self._every = names, first, every
        self._unread: list[_Unread] = []

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
        """Keep what a step came to, without waiting for it.

        Args:
            step: Its number.
            rate: Learning rate.
            indices: Of its clips, shape (batch,).
            losses: Of each, shape (batch,).
            loss: Their mean, a scalar as are the others.
            norm: Of the gradient.
            terms: What else is to be logged.
        """
        self._unread.append(_Unread(step, rate, indices, losses.detach(), loss.detach(), norm, terms))

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        done = self._unread[-1].step - self._first if self._unread else 0
        return 0 < done <= SINGLY or len(self._unread) >= self._every

    def read(self) -> Iterator[Reading]:
        """The steps since the last reading, in their order; waits for the device once.

        Raises:
            DivergedError: At the first step with a loss or gradient that is not finite, after those before it.
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
            self._see(one, losses, float(norm))
            named = {name: float(value) for name, value in zip(one.terms, terms, strict=True)}
            yield Reading(one.step, float(loss), float(norm), one.rate, named)

    def _see(self, one: _Unread, losses: npt.NDArray[np.float32], norm: float) -> None:
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
