"""Scores of normal sound, and the alarm rates that they support: loose clips, or contiguous recordings.

Contiguous recordings show how scores hang together over time; their alarms are counted by the rule itself. Loose clips
do not; their rates hold where windows without common sound are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.counting import alarm_levels, joined, raises
from asd_agent.alarm.rule import SECONDS_A_DAY, Rule
from asd_agent.alarm.tail import LEAST_PEAKS, MOST_PEAKS, Tail, fit_tail, level_where

Float = npt.NDArray[np.float64]
Basis = Literal["streams", "clips"]
CONFIDENCE = 0.95
CLEAR_BELOW = 0.5
"""The clear level is this many reference spreads below the raise level."""
SUPPORTED_ALARMS = 3.0
"""−ln 0.05: a rate under so many alarms in the time of the recordings cannot be told from none, at 95 %."""
COUNTED_ALARMS = 10
"""With so many alarms an order statistic is within a third of the rate, as a tail is."""
TAIL_CLIPS = 2 * LEAST_PEAKS
"""With fewer clips the tail would begin below the median."""
BLOCKS = 20
"""A single recording is cut into so many for the bootstrap."""
RESAMPLES = 400


@dataclass(frozen=True)
class AlarmRate:
    """Alarms a day on normal sound at one level.

    Attributes:
        expected: Expected alarms a day.
        upper: Upper 95 % limit.
        window_rate: Share of windows above the level.
    """

    expected: float
    upper: float
    window_rate: float


class NormalScores(Protocol):
    """Normal sound as evidence for a level; see `ClipScores` and `StreamScores`."""

    @property
    def basis(self) -> Basis:
        """Kind of evidence."""

    @property
    def rule(self) -> Rule:
        """Rule of the monitor."""

    @property
    def hours(self) -> float:
        """Hours of sound."""

    @property
    def least_per_day(self) -> float:
        """Smallest rate that the sound supports, alarms a day."""

    def level(self, alarms_per_day: float) -> float:
        """Return the raise level for a wanted rate."""

    def rate(self, level: float) -> AlarmRate:
        """Return the rate at a raise level."""


@dataclass(frozen=True)
class ClipScores:
    """Scores of loose normal clips that no fit has seen.

    Attributes:
        scores: Ascending, shape (clips,).
        rule: Rule of the monitor.
        tailed: Go on beyond the largest scores with a generalised Pareto distribution, where there are clips enough.
    """

    scores: Float
    rule: Rule
    tailed: bool = True
    basis: Basis = "clips"

    @property
    def hours(self) -> float:
        """Hours of sound."""
        return len(self.scores) * self.rule.window_seconds / 3600.0

    @property
    def least_per_day(self) -> float:
        """Smallest rate that the clips support: the expected rate with the largest score as the level."""
        return self.rule.expected_alarms_per_day(1, len(self.scores))

    @cached_property
    def tail(self) -> Tail | None:
        """Tail of the scores; None where clips are too few."""
        count = len(self.scores)
        if not self.tailed or count < TAIL_CLIPS:
            return None
        return fit_tail(self.scores[::-1], max(LEAST_PEAKS, min(MOST_PEAKS, count // 10)))

    def level(self, alarms_per_day: float) -> float:
        """Return the raise level: an order statistic, or beyond its reach the tail's."""
        count = len(self.scores)
        rank = self.rule.rank_for(alarms_per_day, count)
        if rank < COUNTED_ALARMS and self.tail is not None:
            return level_where(lambda level: self.rate(level).expected, alarms_per_day, self.tail)
        return float(self.scores[count - rank])

    def rate(self, level: float) -> AlarmRate:
        """Return the rate at a raise level, as an expectation over what the clips leave open."""
        count = len(self.scores)
        rank = min(count, max(1, int(np.sum(self.scores >= level))))
        tail = self.tail
        if tail is None or rank >= COUNTED_ALARMS or level < tail.start:
            upper = _beta_quantile(CONFIDENCE, rank, count + 1 - rank)
            expected = self.rule.expected_alarms_per_day(rank, count)
            return AlarmRate(expected, self.rule.alarms_per_day(upper), rank / (count + 1))
        shares, weights = tail.shares(level)
        windows = shares * tail.peaks / count
        rates = np.array([self.rule.alarms_per_day(min(p, 1.0)) for p in windows.tolist()])
        # A share of peaks / count above the start is itself known to its binomial error only.
        spread = 1.0 + (1.0 - tail.peaks / count) / tail.peaks
        order = np.argsort(rates)
        upper = float(rates[order][np.searchsorted(np.cumsum(weights[order]), CONFIDENCE)])
        return AlarmRate(float(rates @ weights) * spread, upper * spread, float(windows @ weights))


@dataclass(frozen=True)
class StreamScores:
    """Scores of contiguous normal recordings that no fit has seen.

    Attributes:
        stretches: One array for each recording without a gap, at the rule's hop.
        rule: Rule of the monitor.
        per_count: Alarms that one counted alarm stands for; above 1 where some of the monitor's windows have no score.
    """

    stretches: Sequence[Float]
    rule: Rule
    per_count: float = 1.0
    basis: Basis = "streams"

    @property
    def hours(self) -> float:
        """Hours of sound."""
        seconds = sum((len(s) - 1) * self.rule.hop_seconds + self.rule.window_seconds for s in self.stretches if len(s))
        return seconds / 3600.0

    @property
    def days(self) -> float:
        """Days of sound in which alarms may begin: windows, each a hop long, from the k-th of a stretch on."""
        windows = sum(max(0, len(s) - (self.rule.k - 1)) for s in self.stretches)
        return max(1, windows) * self.rule.hop_seconds / SECONDS_A_DAY

    @property
    def least_per_day(self) -> float:
        """Smallest rate that the recordings support."""
        return SUPPORTED_ALARMS * self.per_count / self.days

    def supports(self, alarms_per_day: float) -> bool:
        """True where a level for a wanted rate can be counted, or extrapolated from 30 levels."""
        return alarms_per_day * self.days >= self.per_count or len(self.levels) > LEAST_PEAKS

    @cached_property
    def levels(self) -> Float:
        """Levels at which 1, 2, 3, … alarms come in the recordings, in falling order."""
        return alarm_levels(self._series, self.rule, CLEAR_BELOW, most=max(2 * MOST_PEAKS, COUNTED_ALARMS))

    @cached_property
    def tail(self) -> Tail | None:
        """Tail of the levels; None where they are too few."""
        return fit_tail(self.levels)

    def level(self, alarms_per_day: float) -> float:
        """Return the raise level.

        The m-th largest alarm level of T days is exceeded m / T times a day on average (the split-conformal order
        statistic of a Poisson process), whatever the scores. With few alarms a tail is steadier.
        """
        count = alarms_per_day * self.days / self.per_count
        if count >= COUNTED_ALARMS or self.tail is None or count >= self.tail.peaks:
            return self._counted(count)
        found = self.tail.level(count / self.tail.peaks)
        return max(found, float(self.levels[0])) if count < 1 else found

    def rate(self, level: float) -> AlarmRate:
        """Return the rate at a raise level.

        The limit is the larger of a Poisson one and a bootstrap's over recordings.
        """
        found = np.array([self._raised(s, level) for s in self._blocks], dtype=np.float64)
        days = np.array([len(s) for s in self._blocks]) * self.rule.hop_seconds / SECONDS_A_DAY
        alarms = int(self._raised(self._series, level))
        upper = gamma_quantile(CONFIDENCE, alarms + 1) / self.days
        picks = np.random.default_rng(0).integers(0, len(found), size=(RESAMPLES, len(found)))
        drawn = found[picks].sum(axis=1) / days[picks].sum(axis=1)
        upper = max(upper, float(np.quantile(drawn, CONFIDENCE)))
        expected = (alarms + 1) / self.days
        if self.tail is not None and alarms < COUNTED_ALARMS and level >= self.tail.start:
            shares, weights = self.tail.shares(level)
            expected = float(shares @ weights) * self.tail.peaks / self.days
        windows = sum(int((s > level).sum()) for s in self.stretches)
        total = sum(map(len, self.stretches))
        return AlarmRate(expected * self.per_count, upper * self.per_count, (windows + 1) / (total + 1))

    def _counted(self, count: float) -> float:
        rank = max(1, int(count))
        found = self.levels
        if rank > len(found):
            found = alarm_levels(self._series, self.rule, CLEAR_BELOW, most=rank)
        return float(found[min(rank, len(found)) - 1])

    def _raised(self, series: Float, level: float) -> int:
        return len(raises(series, level, level - CLEAR_BELOW, self.rule))

    @cached_property
    def _series(self) -> Float:
        return joined(self.stretches, self.rule)

    @cached_property
    def _blocks(self) -> list[Float]:
        whole = [s for s in self.stretches if len(s)]
        if len(whole) >= BLOCKS // 2:
            return whole
        parts = -(-BLOCKS // len(whole))
        return [part for s in whole for part in np.array_split(s, parts) if len(part)]


def _beta_quantile(probability: float, a: float, b: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(a, b, probability))


def gamma_quantile(probability: float, shape: float) -> float:
    """Return a quantile of a gamma distribution of scale 1: limits of a Poisson mean, from a count."""
    from scipy.special import gammaincinv

    return float(gammaincinv(shape, probability))
