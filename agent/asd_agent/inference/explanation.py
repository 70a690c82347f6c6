"""Explanation of a window: bands, times or quantities that stood out, in numbers, in words, and as a map.

One registry, `EXPLAINERS`, holds the explanation of each kind of member; `ANOMALY_MAPS` holds the kinds with a map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Member
from asd_agent.features.log_mel import FeatureSpec, log_mel, mel_centres
from asd_agent.features.periodicity import period, unaliased
from asd_agent.inference.densities import registered
from asd_agent.inference.indicator_words import FULL_BAND, indicator_band, indicator_words
from asd_agent.inference.members import ModelOutput, WindowFeatures

Float = npt.NDArray[np.float64]
Scorer = Mapping[str, Any]
"""Arrays of one member's scorer, with `usual_mean` and `usual_std`, shape (dimensions,)."""
_FINE_STEPS = 4
"""Steps a frame in which a rhythm is searched that is too fast for frames."""
UNLIKE_BANK = "unlike every normal sound of the bank"
"""The whole explanation of an embedding, which knows neither bands nor times."""
_UNLIKE_SECTION = "unlike this section's sound"


@dataclass(frozen=True)
class Explanation:
    """Explanation of one window.

    Attributes:
        text: In words, such as "unusual at 2.0–4.1 kHz, every 0.83 s" or "more knocking between 4 and 7.8 kHz".
        bands_hz: Frequency bands, lowest and highest in Hz; the whole range where a member judges it as a whole.
        times_s: Times from the window's start, first and last in seconds.
        period_s: Seconds from one time to the next where they repeat; else None.
    """

    text: str
    bands_hz: tuple[tuple[float, float], ...] = field(default=())
    times_s: tuple[tuple[float, float], ...] = field(default=())
    period_s: float | None = None


@dataclass(frozen=True)
class AnomalyMap:
    """Deviation from the normal level in time and frequency.

    Attributes:
        cells: Shape (windows, frames, n_mels); zero is usual.
        spec: Front end whose frames and bands they are.
        unit: `spreads` of normal errors, or `dB` above the normal level.
    """

    cells: Float
    spec: FeatureSpec
    unit: str


def explain(
    member: Member, output: npt.NDArray[np.floating], scorer: Scorer, window: npt.NDArray[np.floating]
) -> Explanation:
    """Explain one window.

    Args:
        member: Member whose output it is.
        output: Its output, shape (rows, dimensions).
        scorer: Its arrays, with the normal mean and spread of calibration.
        window: The window itself, shape (samples,).

    Raises:
        AsdError: No such kind of member is registered.
    """
    return registered(EXPLAINERS, member.kind, "kind of member")(member, output, scorer, window)


def deviation_from_normal(output: npt.NDArray[np.floating], scorer: Scorer) -> Float:
    """Deviation of an output, shape (rows, dimensions), from its normal mean, in normal spreads."""
    return np.asarray((np.asarray(output, dtype=np.float64) - scorer["usual_mean"]) / scorer["usual_std"])


def _level(
    _member: Member, output: npt.NDArray[np.floating], scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    deviation = deviation_from_normal(output, scorer)[0, 0]
    return Explanation(f"{_louder(deviation)} than usual ({deviation:+.1f} spreads)", (FULL_BAND,))


def _embedding(
    _member: Member, _output: npt.NDArray[np.floating], _scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    return Explanation(UNLIKE_BANK, (FULL_BAND,))


def _network(
    _member: Member, output: npt.NDArray[np.floating], scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    """The meaning of rows and columns is known to their family alone: only the largest deviation is reported."""
    deviation = deviation_from_normal(output, scorer)
    largest = deviation.flat[int(np.argmax(np.abs(deviation)))]
    return Explanation(f"unlike normal sound ({largest:+.1f} spreads)", (FULL_BAND,))


def _indicators(
    _member: Member, output: npt.NDArray[np.floating], scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    deviation = deviation_from_normal(output, scorer)[0]
    order = [int(i) for i in np.argsort(-np.abs(deviation))[:3]]
    words = [indicator_words(i, float(deviation[i])) for i in order]
    return Explanation(", ".join(words), tuple(sorted({indicator_band(i) for i in order})))


def _section_classifier(
    _member: Member, output: npt.NDArray[np.floating], scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    return _excerpts(deviation_from_normal(output, scorer)[:, 0])


def _classifier(
    _member: Member, output: npt.NDArray[np.floating], scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    return _excerpts(deviation_from_normal(output, scorer)[:, 1])


def _excerpts(deviation: Float, seconds: float = 10.0) -> Explanation:
    if len(deviation) == 1:
        return Explanation(_UNLIKE_SECTION, (FULL_BAND,))
    times = stretches(deviation, (np.arange(len(deviation)) + 0.5) * (seconds / len(deviation)))
    return Explanation(_UNLIKE_SECTION + _times_text(times), (FULL_BAND,), times)


def _mel_statistics(
    member: Member, output: npt.NDArray[np.floating], scorer: Scorer, _window: npt.NDArray[np.floating]
) -> Explanation:
    spec = member.features or FeatureSpec()
    deviation = deviation_from_normal(output, scorer)
    # One row of quantities for each statistic over time: the mean alone, or mean and spread.
    rows = deviation[0].reshape(-1, spec.n_mels)
    strongest = np.abs(rows).argmax(axis=0)
    found = np.asarray(rows[strongest, np.arange(spec.n_mels)], dtype=np.float64)
    runs, hz = _indices(np.abs(found)), mel_centres(spec)
    bands = tuple((float(hz[a]), float(hz[b])) for a, b in runs)
    words: dict[str, list[tuple[float, float]]] = {}
    for (first, last), band in zip(runs, bands, strict=True):
        peak = first + int(np.abs(found[first : last + 1]).argmax())
        kind = _louder(found[peak]) if strongest[peak] == 0 else ("less steady" if found[peak] > 0 else "steadier")
        words.setdefault(kind, []).append(band)
    largest = float(found[np.abs(found).argmax()])
    text = ", ".join(f"{kind} at {bands_text(tuple(where))}" for kind, where in words.items())
    return Explanation(f"{text} ({largest:+.1f} spreads)", bands)


def _louder(deviation: float) -> str:
    return "louder" if deviation > 0 else "quieter"


def _frame_errors(
    member: Member, output: npt.NDArray[np.floating], scorer: Scorer, window: npt.NDArray[np.floating]
) -> Explanation:
    spec = member.features or FeatureSpec()
    cells = deviation_from_normal(output, scorer)[:, : spec.n_mels]
    bands_index = _indices(cells.mean(axis=0))
    bands = tuple((float(mel_centres(spec)[a]), float(mel_centres(spec)[b])) for a, b in bands_index)
    chosen = np.concatenate([np.arange(a, b + 1) for a, b in bands_index])
    over_time = cells[:, chosen].mean(axis=1)
    seconds = np.arange(len(over_time)) * spec.frame_seconds()
    steady = over_time.max() < 3.0 * max(float(np.median(over_time)), 0.3)
    times = () if steady else stretches(over_time, seconds)
    every = _rhythm(over_time, window, spec, chosen)
    where = f"unusual at {bands_text(bands)}"
    if every is not None:
        return Explanation(f"{where}, every {every:.2g} s", bands, times, every)
    return Explanation(where + (" throughout" if steady else _times_text(times)), bands, times)


Explainer = Callable[[Member, npt.NDArray[np.floating], Scorer, npt.NDArray[np.floating]], Explanation]
EXPLAINERS: Mapping[str, Explainer] = MappingProxyType(
    {
        "autoencoder": _frame_errors,
        "dense_autoencoder": _frame_errors,
        "section_classifier": _section_classifier,
        "classifier": _classifier,
        "embedding": _embedding,
        "network": _network,
        "level": _level,
        "mel_statistics": _mel_statistics,
        "mel_spectrum": _mel_statistics,
        "indicators": _indicators,
    }
)
"""Explanation of each kind of member."""


def _error_map(member: Member, output: ModelOutput, _features: WindowFeatures, scorer: Scorer) -> AnomalyMap:
    spec = member.features or FeatureSpec()
    windows, rows, dimensions = output.shape
    cells = deviation_from_normal(output.reshape(-1, dimensions), scorer).reshape(windows, rows, dimensions)
    return AnomalyMap(cells[:, :, : spec.n_mels], spec, "spreads")


def _level_map(member: Member, _output: ModelOutput, features: WindowFeatures, scorer: Scorer) -> AnomalyMap:
    spec = member.features or FeatureSpec()
    usual = np.asarray(scorer["usual_mean"][: spec.n_mels], dtype=np.float64)
    return AnomalyMap(features.log_mel(spec) - usual, spec, "dB")


ANOMALY_MAPS: Mapping[str, Callable[[Member, ModelOutput, WindowFeatures, Scorer], AnomalyMap]] = MappingProxyType(
    {"autoencoder": _error_map, "mel_statistics": _level_map, "mel_spectrum": _level_map}
)
"""Anomaly map of each kind of member that has one, the kind that judges every frame first.

Arguments: the member, its output of shape (windows, rows, dimensions), the features of the same windows, its scorer.
"""


def _rhythm(
    over_time: npt.NDArray[np.floating],
    window: npt.NDArray[np.floating],
    spec: FeatureSpec,
    bands: npt.NDArray[np.intp],
) -> float | None:
    """Seconds between repeats in these bands; None where there is no clear rhythm."""
    frames = period(over_time)
    if frames is not None:
        fine = spec.model_copy(update={"hop_length": max(1, spec.hop_length // _FINE_STEPS)})
        levels = log_mel(window, fine)[:, bands].mean(axis=1)
        frames = unaliased(frames, levels, spec.hop_length // fine.hop_length)
    return None if frames is None else frames * spec.frame_seconds()


def _indices(profile: npt.NDArray[np.floating], most: int = 3) -> list[tuple[int, int]]:
    """Runs above half the maximum, of which the strongest `most` are kept, in order of place."""
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
