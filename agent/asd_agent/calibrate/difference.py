"""Difference between the sound at the box and the sound that its bundle learnt, with reasons to doubt a calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from asd_agent.audio.quality import level_dbfs
from asd_agent.bundle.manifest import DomainName
from asd_agent.calibrate.site import BATCH, SiteSound
from asd_agent.features.log_mel import mel_centres
from asd_agent.inference.explanation import AnomalyMap, bands_text, stretches
from asd_agent.inference.scorer import BundleScorer

SURE = 0.01
"""Two halves differ when chance would give as much in less than one of a hundred calibrations."""
SPREADS, DECIBELS = 1.0, 3.0
"""Smallest differences that are reported, in spreads and in dB, however significant they are."""
OUTLIER_SPREADS = 6.0


@dataclass(frozen=True)
class Difference:
    """Site against the domain that it was fitted like.

    Attributes:
        windows: Number of windows.
        level_dbfs: Their median level.
        usual_level_dbfs: Lowest and highest level of the bundle's calibration, widened.
        shift_spreads: Median score by the bundle's own domain, less that of its own normal clips.
        over_threshold: Share of the windows that the bundle's own threshold calls bad.
        separation: AUC of the windows against the bundle's own normal clips by its own scores: 0.5 sounds alike.
        bands: What is louder or less well predicted here, in words; empty where nothing stands out.
        warnings: Why the calibration may not be trusted.
    """

    windows: int
    level_dbfs: float
    usual_level_dbfs: tuple[float, float]
    shift_spreads: float
    over_threshold: float
    separation: float
    bands: str
    warnings: tuple[str, ...] = field(default=())


def compare_site(scorer: BundleScorer, section: str, like: DomainName, sound: SiteSound) -> Difference:
    """Judge the sound by the bundle as it was exported."""
    base = scorer.bundle.condition(section, like)
    reference = np.asarray(scorer.bundle.scorers[base.reference], dtype=np.float64)
    scores = np.array(
        [
            s.score
            for start in range(0, len(sound), BATCH)
            for s in scorer.score(sound.windows[start : start + BATCH], section, like)
        ]
    )
    levels = np.array([level_dbfs(w) for w in sound.windows])
    over = float(np.mean(scores > base.threshold.raise_level))
    return Difference(
        windows=len(sound),
        level_dbfs=float(np.median(levels)),
        usual_level_dbfs=base.level_dbfs,
        shift_spreads=float(np.median(scores) - np.median(reference)),
        over_threshold=over,
        separation=separation(scores, reference),
        bands=_bands(scorer, section, like, sound),
        warnings=tuple(doubts(scores, levels, over, base.level_dbfs)),
    )


def separation(scores: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> float:
    """Return the probability that a score exceeds one of the reference, ties counting half."""
    above = np.searchsorted(np.sort(reference), scores, side="left")
    below = np.searchsorted(np.sort(reference), scores, side="right")
    return float(np.mean(above + below) / 2 / len(reference))


def doubts(
    scores: npt.NDArray[np.float64], levels: npt.NDArray[np.float64], over: float, usual_dbfs: tuple[float, float]
) -> list[str]:
    """Return reasons to doubt a calibration from such windows, in their order in time.

    Args:
        scores: By the bundle's own domain.
        levels: In dBFS.
        over: Share of the scores above its threshold.
        usual_dbfs: Levels of its calibration.
    """
    reasons = []
    if (moved := _drift(scores)) is not None and abs(moved) > SPREADS:
        reasons.append(f"unsteady: scores of the second half are {moved:+.1f} spreads off those of the first")
    if (moved := _drift(levels)) is not None and abs(moved) > DECIBELS:
        reasons.append(f"unsteady: the level of the second half is {moved:+.1f} dB off that of the first")
    outliers = _outliers(scores)
    if len(outliers):
        reasons.append(
            f"single windows stand out from the others: {', '.join(f'number {i + 1}' for i in outliers[:5])}"
            f"{' and more' if len(outliers) > 5 else ''}; they would become normal sound"
        )
    if over > 0.5:
        reasons.append(
            f"{100 * over:.0f} % of it is anomalous by the bundle's own threshold: make sure that the machine is "
            "healthy: a fault that is there now would become normal"
        )
    middle = float(np.median(levels))
    if not usual_dbfs[0] <= middle <= usual_dbfs[1]:
        reasons.append(
            f"the level, {middle:.0f} dBFS, is outside the range of the bundle's calibration "
            f"({usual_dbfs[0]:.0f} to {usual_dbfs[1]:.0f}): another microphone, or another gain?"
        )
    return reasons


def _drift(values: npt.NDArray[np.float64]) -> float | None:
    """Median of the second half less that of the first, where chance hardly makes it (Mann-Whitney); else None."""
    from scipy.stats import mannwhitneyu

    first, second = values[: len(values) // 2], values[len(values) // 2 :]
    if len(first) < 4 or mannwhitneyu(first, second).pvalue >= SURE:
        return None
    return float(np.median(second) - np.median(first))


def _outliers(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Windows whose score is far above the others', in spreads that outliers cannot widen."""
    middle = np.median(scores)
    spread = 1.4826 * float(np.median(np.abs(scores - middle)))
    if len(scores) < 8:
        return np.array([], dtype=np.intp)
    return np.flatnonzero(scores - middle > OUTLIER_SPREADS * max(spread, 1e-9))


def _bands(scorer: BundleScorer, section: str, like: DomainName, sound: SiteSound) -> str:
    found: AnomalyMap | None = None
    profiles = []
    for start in range(0, len(sound), BATCH):
        found = scorer.anomaly_map(sound.windows[start : start + BATCH], section, like)
        if found is None:
            return ""
        profiles.append(found.cells.mean(axis=1))
    assert found is not None
    profile = np.concatenate(profiles).mean(axis=0)
    least = DECIBELS if found.unit == "dB" else SPREADS
    highest = float(profile.max())
    if highest < least:
        return ""
    words = bands_text(stretches(profile, mel_centres(found.spec)))
    return f"{words}: up to {highest:+.1f} {found.unit} against the usual"
