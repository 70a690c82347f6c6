"""Quality check of a window of sound: gap, NaN, silence, DC make it invalid; clipping, level make it suspect.

An invalid window counts for and against nothing. A suspect one is scored and flagged: a bearing that grinds until
it clips must not silence its own alarm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from asd_agent.audio.files import Signal

QualityVerdict = Literal["ok", "suspect", "invalid"]
QualityReason = Literal["gap", "not_finite", "silence", "dc", "clipping", "too_quiet", "too_loud"]
FLOOR_DBFS = -150.0
"""Level of digital silence, so that a level is always a number."""


@dataclass(frozen=True)
class QualityLimits:
    """Limits between the verdicts.

    Attributes:
        low_dbfs: Below this the window is `too_quiet`; None where no bundle gives a level.
        high_dbfs: Above this it is `too_loud`; None likewise.
        silent_share: Share of the window that may consist of runs of one and the same value below full scale.
        silent_run: Samples of one value that make such a run; 20 ms at 16 kHz.
        dc_share: Share of the window's power that a constant offset may have.
        dc_level: An offset below this, full scale 1, is always accepted.
        clip_level: At or above this a sample is at full scale.
        clip_share: Share of the window's samples that may be at full scale.
    """

    low_dbfs: float | None = None
    high_dbfs: float | None = None
    silent_share: float = 0.02
    silent_run: int = 320
    dc_share: float = 0.9
    dc_level: float = 0.05
    clip_level: float = 0.999
    clip_share: float = 0.001


@dataclass(frozen=True)
class SoundQuality:
    """Verdict on one window.

    Attributes:
        verdict: `ok`, `suspect` or `invalid`.
        reasons: Faults found, the gravest first.
        level_dbfs: Level of the finite samples without their mean, in dB relative to full scale.
    """

    verdict: QualityVerdict
    reasons: tuple[QualityReason, ...] = field(default=())
    level_dbfs: float = FLOOR_DBFS

    @property
    def scored(self) -> bool:
        """True where the window may be scored."""
        return self.verdict != "invalid"


_INVALID: tuple[QualityReason, ...] = ("gap", "not_finite", "silence", "dc")


def assess(samples: Signal, *, has_gap: bool = False, limits: QualityLimits | None = None) -> SoundQuality:
    """Check one window of one channel.

    Args:
        samples: Shape (samples,), full scale ±1.
        has_gap: A part of it was lost.
        limits: Limits between the verdicts.

    Returns:
        The verdict and its reasons.
    """
    limits = limits or QualityLimits()
    if samples.ndim != 1 or len(samples) == 0:
        raise ValueError(f"expected samples of shape (samples,), got {samples.shape}")
    reasons: list[QualityReason] = ["gap"] if has_gap else []
    finite = np.isfinite(samples)
    if not finite.all():
        reasons.append("not_finite")
        samples = np.where(finite, samples, np.float32(0))
    level = level_dbfs(samples)
    mean = float(samples.mean(dtype=np.float64))
    if constant_share(samples, limits.silent_run, limits.clip_level) > limits.silent_share:
        reasons.append("silence")
    elif abs(mean) > limits.dc_level and mean**2 > limits.dc_share * _power(samples):
        reasons.append("dc")
    if float(np.mean(np.abs(samples) >= limits.clip_level)) > limits.clip_share:
        reasons.append("clipping")
    if limits.low_dbfs is not None and level < limits.low_dbfs:
        reasons.append("too_quiet")
    if limits.high_dbfs is not None and level > limits.high_dbfs:
        reasons.append("too_loud")
    verdict: QualityVerdict = "ok"
    if reasons:
        verdict = "invalid" if reasons[0] in _INVALID else "suspect"
    return SoundQuality(verdict, tuple(reasons), level)


def level_dbfs(samples: Signal) -> float:
    """Return the root mean square about the mean, in dB relative to full scale; `FLOOR_DBFS` for silence.

    Args:
        samples: Shape (samples,) or (samples, channels); the loudest channel counts.
    """
    if samples.size == 0:
        return FLOOR_DBFS
    power = float(np.max(samples.astype(np.float64).var(axis=0)))
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS


def constant_share(samples: Signal, run: int, clip_level: float = math.inf) -> float:
    """Return the share of a signal that stays constant.

    Args:
        samples: Shape (samples,).
        run: Samples of exactly one value that count as constant.
        clip_level: At or above this a run is clipping, not silence: a deep hum clips for longer than `run`.
    """
    if not _may_be_constant(samples, min(run, len(samples))):
        return 0.0
    changes = np.flatnonzero(np.diff(samples) != 0) + 1
    starts = np.concatenate(([0], changes))
    lengths = np.diff(np.concatenate((starts, [len(samples)])))
    constant = (lengths >= min(run, len(samples))) & (np.abs(samples[starts]) < clip_level)
    return float(lengths[constant].sum() / len(samples))


def _may_be_constant(samples: Signal, run: int) -> bool:
    """Return true where there may be a run, at a fraction of the cost of finding it.

    A run holds at least four of the samples that are a quarter of its length apart.
    """
    sparse = samples[:: max(1, run // 4)]
    same = sparse[1:] == sparse[:-1]
    return run < 4 or bool(np.any(same[2:] & same[1:-1] & same[:-2]))


def _power(samples: Signal) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))
