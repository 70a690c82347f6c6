"""Which clips a network learns from, and which it never hears, so that scorers and thresholds can be fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from pydantic import Field

from asd_agent.bundle.files import file_digest
from asd_agent.errors import DataError
from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_trainer.data.cache import Cache
from asd_trainer.data.clip_windows import WINDOW_SAMPLES, load_windows
from asd_trainer.data.layout import Clip
from asd_trainer.settings import Settings

MANY_CLIPS = 100
"""From so many clips on the held-out fraction serves; below, folds by recording that rotate over the members."""
LEAST_HELD_OUT = 2
"""Recordings held out of each fold, and left for training: a spread needs two."""
LEAST_RECORDINGS = 2
"""Recordings that a scorer is fitted to: it is judged by those that a fit leaves out."""


class HeldOut(Settings):
    """Normal clips that no network learns from, for scorers and thresholds.

    Attributes:
        fraction: Share held out where there are clips enough.
        folds: Folds by recording where there are not.
    """

    fraction: float = Field(default=0.1, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)


def by_section(clips: Sequence[Clip], domain: str) -> dict[str, list[Clip]]:
    """The clips of one domain by section, sections sorted; what names no domain counts as source."""
    found: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: c.section):
        if (clip.domain or "source") == domain:
            found.setdefault(clip.section, []).append(clip)
    return found


def section_values(sections: Sequence[str]) -> dict[str, float]:
    """The scaled ID of each section, 0 up to but not including 1; an integer's error would drown the rest."""
    return {s: i / len(sections) for i, s in enumerate(sections)}


def held_out_clips(clips: Sequence[Clip], settings: HeldOut, seed: int, fold: int = 0) -> frozenset[str]:
    """Names of one section's source clips that a network is not trained on, whole recordings at a time.

    Args:
        clips: Of the section's source domain.
        settings: How many.
        seed: Of the order of recordings.
        fold: Which fold, where clips are few; with many there is one. They begin anew after the last, and the last may
            overlap the first.

    Raises:
        DataError: There are not recordings enough to leave some for training and some for scoring.
    """
    recordings = sorted({c.recording for c in clips})
    share = settings.fraction if len(clips) >= MANY_CLIPS else 1.0 / settings.folds
    count = max(LEAST_HELD_OUT, math.ceil(share * len(recordings)))
    if len(recordings) < 2 * LEAST_HELD_OUT:
        raise DataError(
            f"{clips[0].path.parent}: {len(recordings)} normal recordings of section {clips[0].section} are too few to "
            "train a network on some and to set thresholds by others",
            f"Give at least {2 * LEAST_HELD_OUT} normal recordings of each section.",
        )
    order = np.random.default_rng([seed, len(recordings)]).permutation(len(recordings))
    count = min(count, len(recordings) - LEAST_HELD_OUT)
    first = 0 if len(clips) >= MANY_CLIPS else fold % math.ceil(len(recordings) / count) * count
    chosen = {recordings[i] for i in np.roll(order, -first)[:count]}
    return frozenset(c.path.name for c in clips if c.recording in chosen)


def held_out_of_machine(clips: Sequence[Clip], settings: HeldOut, seed: int, fold: int = 0) -> frozenset[str]:
    """The same over all sections of a machine.

    Raises:
        DataError: As above.
    """
    return frozenset[str]().union(
        *(held_out_clips(c, settings, seed, fold) for c in by_section(clips, "source").values())
    )


@dataclass(frozen=True)
class TrainingSet:
    """What a network learns from.

    Attributes:
        features: Log-mels, shape (clips, frames, n_mels).
        sections: Scaled section value of each clip, shape (clips,).
        names: Of the clips.
    """

    features: npt.NDArray[np.float32]
    sections: npt.NDArray[np.float32]
    names: list[str]


def training_set(
    clips: Sequence[Clip],
    settings: HeldOut,
    spec: FeatureSpec,
    seed: int,
    cache: Cache | None = None,
    *,
    fold: int = 0,
    both_domains: bool = False,
) -> TrainingSet:
    """Log-mels of a machine's source clips less those held out.

    Target clips are kept out of training but for `both_domains`: with three of them, each is worth more for the scorer.
    Members and seeds that share a `cache` have their log-mels computed once.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window, or there are too few.
    """
    held_out = held_out_of_machine(clips, settings, seed, fold)
    source = by_section(clips, "source")
    values = section_values(list(source))
    domains = (source, by_section(clips, "target")) if both_domains else (source,)
    chosen = [c for domain in domains for section in domain.values() for c in section if c.path.name not in held_out]
    features = np.empty((len(chosen), spec.frames(WINDOW_SAMPLES), spec.n_mels), np.float32)
    for row, clip in enumerate(chosen):
        make = partial(_log_mel_of, clip, spec)
        features[row] = cache.array(file_digest(clip.path), spec, make) if cache else make()
    return TrainingSet(
        features, np.array([values[c.section] for c in chosen], np.float32), [c.path.name for c in chosen]
    )


def _log_mel_of(clip: Clip, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    return log_mel(load_windows([clip]).floats(0), spec)
