"""Which bands, times or quantities of a window stood out, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Member
from asd_agent.features.indicators import names
from asd_agent.features.log_mel import FeatureSpec, log_mel, mel_centres
from asd_agent.features.periodicity import period, unaliased
from asd_agent.inference.anomaly_map import deviation_from_normal

_FINER = 4
"""Steps a frame in which a rhythm is looked for that is too fast for frames."""
UNLIKE = "unlike every normal sound of the bank"
"""All that an embedding can tell."""


@dataclass(frozen=True)
class Explanation:
    """What stood out in one window.

    Attributes:
        text: In words, such as "2.0–4.1 kHz at 1.2 s and 3.9 s" or "2.0–4.1 kHz, every 0.83 s".
        bands_hz: Frequency bands, lowest and highest in Hz.
        times_s: Times from the window's start, first and last in seconds.
        period_s: Seconds from one time to the next, where it comes again and again; else None.
    """

    text: str
    bands_hz: tuple[tuple[float, float], ...] = field(default=())
    times_s: tuple[tuple[float, float], ...] = field(default=())
    period_s: float | None = None


def explain(
    member: Member,
    observation: npt.NDArray[np.floating],
    scorer: dict[str, Any],
    window: npt.NDArray[np.floating],
) -> Explanation:
    """Explain one window.

    Args:
        member: Whose observation it is.
        observation: Shape (rows, dimensions).
        scorer: Its arrays, with what was normal in calibration.
        window: The window itself, shape (samples,).
    """
    if member.kind == "embedding":
        return Explanation(UNLIKE)
    excess = deviation_from_normal(observation, scorer)
    if member.kind == "level":
        return Explanation(f"level {excess[0, 0]:+.1f} spreads from the usual")
    if member.kind == "indicators":
        return _of_indicators(excess[0])
    if member.kind == "section_classifier":
        return _of_excerpts(excess[:, 0])
    if member.kind == "classifier":
        return _of_excerpts(excess[:, 1])
    spec = member.features or FeatureSpec()
    if member.kind == "mel_statistics":
        profile = np.asarray(np.abs(excess[0]).reshape(2, spec.n_mels).max(axis=0), dtype=np.float64)
        bands = stretches(profile, mel_centres(spec))
        return Explanation(bands_text(bands), bands)
    cells = excess[:, : spec.n_mels]
    bands_index = _indices(cells.mean(axis=0))
    bands = tuple((float(mel_centres(spec)[a]), float(mel_centres(spec)[b])) for a, b in bands_index)
    chosen = np.concatenate([np.arange(a, b + 1) for a, b in bands_index])
    over_time = cells[:, chosen].mean(axis=1)
    seconds = np.arange(len(over_time)) * spec.frame_seconds()
    steady = over_time.max() < 3.0 * max(float(np.median(over_time)), 0.3)
    times = () if steady else stretches(over_time, seconds)
    every = _rhythm(over_time, window, spec, chosen)
    if every is not None:
        return Explanation(f"{bands_text(bands)}, every {every:.2g} s", bands, times, every)
    return Explanation(bands_text(bands) + (" throughout" if steady else _times_text(times)), bands, times)


def _rhythm(
    over_time: npt.NDArray[np.floating],
    window: npt.NDArray[np.floating],
    spec: FeatureSpec,
    bands: npt.NDArray[np.intp],
) -> float | None:
    """Seconds between what stands out in these bands; None where it has no clear rhythm."""
    frames = period(over_time)
    if frames is not None:
        fine = spec.model_copy(update={"hop_length": max(1, spec.hop_length // _FINER)})
        level = log_mel(window, fine)[:, bands].mean(axis=1)
        frames = unaliased(frames, level, spec.hop_length // fine.hop_length)
    return None if frames is None else frames * spec.frame_seconds()


def _indices(profile: npt.NDArray[np.floating], most: int = 3) -> list[tuple[int, int]]:
    """Runs above half the maximum, the strongest first, at most `most`."""
    above = profile >= 0.5 * profile.max() if profile.max() > 0 else profile == profile.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(int), [0]])))
    runs = [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    runs.sort(key=lambda r: -float(profile[r[0] : r[1] + 1].max()))
    return sorted(runs[:most])


def stretches(
    profile: npt.NDArray[np.floating], axis: npt.NDArray[np.floating], most: int = 3
) -> tuple[tuple[float, float], ...]:
    """First and last place on the axis of each run above half the profile's maximum, at most `most` of them."""
    return tuple((float(axis[a]), float(axis[b])) for a, b in _indices(profile, most))


def _of_indicators(excess: npt.NDArray[np.float64]) -> Explanation:
    order = np.argsort(-np.abs(excess))[:3]
    words = [f"{names()[i]} {'higher' if excess[i] > 0 else 'lower'} ({excess[i]:+.1f} spreads)" for i in order]
    return Explanation(", ".join(words))


def _of_excerpts(doubts: npt.NDArray[np.float64], seconds: float = 10.0) -> Explanation:
    if len(doubts) == 1:
        return Explanation("unlike this section's sound")
    times = stretches(doubts, (np.arange(len(doubts)) + 0.5) * (seconds / len(doubts)))
    return Explanation("unlike this section's sound" + _times_text(times), times_s=times)


def bands_text(bands: tuple[tuple[float, float], ...]) -> str:
    """Bands in words, such as `2.0–4.1 kHz and 200 Hz`."""
    return " and ".join(_band_text(low, high) for low, high in bands)


def _band_text(low: float, high: float) -> str:
    first, last, unit = (f"{low:.0f}", f"{high:.0f}", "Hz")
    if high >= 1000:
        first, last, unit = (f"{low / 1000:.1f}", f"{high / 1000:.1f}", "kHz")
    return f"{first} {unit}" if first == last else f"{first}–{last} {unit}"


def _times_text(times: tuple[tuple[float, float], ...]) -> str:
    return " at " + " and ".join(f"{first:.1f} s" for first, _last in times)
