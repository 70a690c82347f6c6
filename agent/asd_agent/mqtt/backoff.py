"""How long to wait between attempts, so that a hall of agents does not storm a broker that comes back."""

from __future__ import annotations

import random


class Backoff:
    """Waits that double up to a cap, each drawn from its upper half.

    Args:
        shortest: Seconds of the first wait.
        longest: Seconds of the cap.
        source: Of randomness.
    """

    def __init__(self, shortest: float, longest: float, source: random.Random | None = None) -> None:
        self._shortest, self._longest = shortest, max(shortest, longest)
        self._random = source or random.Random()  # noqa: S311
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait now."""
        wait = min(self._longest, self._shortest * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return wait * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._failures = 0
