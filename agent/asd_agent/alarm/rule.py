"""The rule that turns windows into alarms, as numbers: k of the last n raise, some below the clear level end it."""

from __future__ import annotations

import math
from dataclasses import dataclass

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Rule:
    """Rule by which scored windows become alarms.

    Attributes:
        k: Windows above the raise level that raise.
        n: Windows that are looked back on.
        hop_seconds: Seconds from one window's start to the next.
        window_seconds: Length of a window.
        clear_after: Consecutive windows below the clear level that end the alarm.
    """

    k: int = 3
    n: int = 4
    hop_seconds: float = 5.0
    window_seconds: float = 10.0
    clear_after: int = 4

    def independent(self, count: int) -> int:
        """Return how many windows without common sound there are among `count` successive ones."""
        return 1 + math.floor((count - 1) * self.hop_seconds / self.window_seconds + 1e-9)

    @property
    def chances_per_day(self) -> float:
        """Windows a day that may begin an alarm; those that share more than half of their sound count as one."""
        return SECONDS_A_DAY / max(self.hop_seconds, self.window_seconds / 2)

    def alarms_per_day(self, window_rate: float) -> float:
        """Return the expected alarms a day if this share of normal windows is above the level.

        Windows without common sound are taken as independent, windows with common sound as one. So k windows are worth
        k' = 1 + ⌊(k − 1) · hop / window⌋ independent ones, and n likewise n'. An alarm begins at a window above the
        level with at least k' − 1 more among n' − 1 others. For 3 of 4 at hop 5 s this is 17,280 p².
        """
        p, (needed, others) = window_rate, self._votes
        sums = (math.comb(others, i) * p**i * (1 - p) ** (others - i) for i in range(needed, others + 1))
        return self.chances_per_day * p * sum(sums)

    def expected_alarms_per_day(self, rank: int, clips: int) -> float:
        """Return the expected alarms a day when the level is an order statistic of independent normal clips.

        The share of windows above the rank-th largest of n scores is not rank / (n + 1): it is distributed as
        Beta(rank, n + 1 − rank), and k' of n' windows depend on powers of it. For 3 of 4 at hop 5 s the expectation is
        17,280 · m (m + 1) / ((n + 1)(n + 2)).

        Args:
            rank: 1 for the largest score, at most `clips`.
            clips: Reference scores.
        """
        needed, others = self._votes
        base = _log_beta(rank, clips + 1 - rank)
        sums = (
            math.comb(others, i) * math.exp(_log_beta(rank + 1 + i, clips + 1 - rank + others - i) - base)
            for i in range(needed, others + 1)
        )
        return self.chances_per_day * sum(sums)

    def rank_for(self, alarms_per_day: float, clips: int) -> int:
        """Return the largest rank whose expected alarms a day are at most as wanted; 1 where none is."""
        low, high = 1, clips
        most = alarms_per_day * (1 + 1e-9)
        while low < high:
            middle = (low + high + 1) // 2
            enough = self.expected_alarms_per_day(middle, clips) <= most
            low, high = (middle, high) if enough else (low, middle - 1)
        return low

    def window_rate(self, alarms_per_day: float) -> float:
        """Return the share of normal windows above the level that gives so many alarms a day; at most a half."""
        low, high = 0.0, 0.5
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if self.alarms_per_day(middle) < alarms_per_day else (low, middle)
        return low

    @property
    def _votes(self) -> tuple[int, int]:
        """Windows above the level that are needed beside the first, and independent windows that they may be among."""
        return self.independent(self.k) - 1, self.independent(self.n) - 1


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
