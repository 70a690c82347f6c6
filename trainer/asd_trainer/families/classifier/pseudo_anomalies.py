"""Pseudo-anomalies: sounds that a section's classifier learns to tell from the section's own, never a test clip.

The paper takes other sections and other machines of the data set. A data set of one machine alone leaves its own normal
sounds, transformed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, read_clip
from asd_agent.audio.sound_folders import SUFFIXES, folder_files
from asd_agent.errors import ConfigError, DataError
from asd_trainer.data.clips import WINDOW_SAMPLES, WINDOW_SECONDS, ClipSet, load_clips
from asd_trainer.data.layout import Clip
from asd_trainer.families.classifier.settings import PseudoAnomalies
from asd_trainer.simulator import MACHINES, render

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float64]
SLOWEST, FASTEST, LEAST_CHANGE = 0.75, 1.33, 1.07
"""Bounds of a changed speed, and the least factor that counts as a change: a third is about a musical fourth."""
COLOURS = 3
"""Resonances that are raised or lowered in a transformed spectrum."""


@dataclass(frozen=True)
class Gathered:
    """Pseudo-anomalies of a section.

    Attributes:
        clips: Samples of the clips.
        sources: Source of each.
    """

    clips: ClipSet
    sources: tuple[str, ...]


def sources_of(settings: PseudoAnomalies, section: str, machine: str, clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Return the training clips of the data set that serve as pseudo-anomalies of a section, by source.

    Args:
        settings: Wanted sources.
        section: Section whose network learns them.
        machine: Machine of the section.
        clips: Clips of the whole data set; only normal training clips are used.
    """
    normal = [c for c in clips if (c.split, c.label) == ("train", "normal")]
    found = {
        "sections": [c for c in normal if c.machine == machine and c.section != section],
        "machines": [c for c in normal if c.machine != machine],
    }
    return {source: found[source] for source in settings.sources if found.get(source)}


def needs_transforms(settings: PseudoAnomalies, found: dict[str, list[Clip]]) -> bool:
    """Return whether transformed normal clips have to serve, because the data set has none of the wanted sources."""
    return not found and not {"transforms", "simulated", "folder"} & set(settings.sources)


def folder_sounds(folder: Path) -> list[Path]:
    """Return the sound files in a folder and below.

    Raises:
        ConfigError: There is no such folder, or no sound in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: the folder of pseudo-anomalies is not there", "Give `folder:` its path.")
    found = [p for p in folder_files(folder).files if p.suffix.lower() in SUFFIXES]
    if not found:
        raise ConfigError(f"{folder}: holds no {' or '.join(SUFFIXES)} file", "Name a folder with sounds.")
    return found


def gather(
    settings: PseudoAnomalies, section: str, machine: str, clips: Sequence[Clip], normals: Samples, seed: int
) -> Gathered:
    """Gather pseudo-anomalies of a section, drawn evenly from the wanted sources.

    Args:
        settings: Sources and numbers.
        section: Section whose network learns them.
        machine: Machine of the section.
        clips: Clips of the whole data set.
        normals: The section's own clips that the network learns, shape (clips, samples).
        seed: Seed of the choice and of the transforms.

    Raises:
        AudioError: A clip cannot be read.
        ConfigError: The folder is not there or holds no sound.
        DataError: A clip of the data set is shorter than a window, or there is nothing to choose from.
    """
    rng = np.random.default_rng([seed, 1])
    found = sources_of(settings, section, machine, clips)
    wanted = ["transforms"] if needs_transforms(settings, found) else settings.sources
    groups: list[list[tuple[str, Clip | Path | int]]] = [
        _shuffled([(source, c) for c in of_source], rng) for source, of_source in found.items()
    ]
    if "folder" in wanted and settings.folder is not None:
        groups.append(_shuffled([("folder", p) for p in folder_sounds(settings.folder)], rng))
    if "transforms" in wanted:
        groups.append(_shuffled([("transforms", i % len(normals)) for i in range(settings.copies * len(normals))], rng))
    if "simulated" in wanted:
        groups.append([("simulated", i) for i in range(settings.simulated)])
    chosen = [one for turn in zip_longest(*groups) for one in turn if one is not None][: settings.most]
    if not chosen:
        raise DataError(f"section {section} of {machine} has no pseudo-anomalies to learn from", "Add a source.")
    samples = np.stack([_samples(kind, what, machine, normals, rng) for kind, what in chosen])
    names = [what.path.name if isinstance(what, Clip) else f"{kind} {what}" for kind, what in chosen]
    return Gathered(ClipSet(tuple(names), samples=samples), tuple(kind for kind, _ in chosen))


def transformed(samples: npt.NDArray[np.int16], rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Return a normal sound at another speed, in another colour, or with impulses, shape (samples,) to the same."""
    x = samples.astype(np.float64)
    x = (_other_speed, _other_colour, _with_impulses)[rng.integers(3)](x, rng)
    return _int16(x)


def _other_speed(x: Wave, rng: np.random.Generator) -> Wave:
    """Change the speed, and so the pitch; the end is filled with the beginning."""
    factor = rng.uniform(LEAST_CHANGE, FASTEST) if rng.random() < 0.5 else rng.uniform(SLOWEST, 1 / LEAST_CHANGE)
    places = (np.arange(len(x)) * factor) % (len(x) - 1)
    return np.asarray(np.interp(places, np.arange(len(x)), x))


def _other_colour(x: Wave, rng: np.random.Generator) -> Wave:
    """Raise or lower some frequency bands, at the same level."""
    spectrum = np.fft.rfft(x)
    hz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
    gain = np.zeros(len(hz))
    for _ in range(COLOURS):
        centre = 2 ** rng.uniform(np.log2(100), np.log2(7000))
        octaves = np.abs(np.log2(np.maximum(hz, 1.0) / centre)) / rng.uniform(0.15, 0.6)
        gain += rng.choice([-1, 1]) * rng.uniform(6, 15) * np.exp(-0.5 * octaves**2)
    y = np.fft.irfft(spectrum * 10 ** (gain / 20), len(x))
    return np.asarray(y * np.sqrt(np.mean(x**2) / max(float(np.mean(y**2)), 1e-12)))


def _with_impulses(x: Wave, rng: np.random.Generator) -> Wave:
    """Add bursts of coloured noise, regular or not."""
    level = np.sqrt(np.mean(x**2)) * 10 ** (rng.uniform(0, 12) / 20)
    length = round(SAMPLE_RATE * rng.uniform(0.002, 0.03))
    shape = np.exp(-np.arange(length) / (length / 4)) * np.sin(
        2 * np.pi * rng.uniform(500, 6000) / SAMPLE_RATE * np.arange(length)
    )
    every = rng.uniform(0.05, 1.0)
    at = np.arange(rng.uniform(0, every), len(x) / SAMPLE_RATE, every)
    at = at + rng.choice([0.0, 0.3]) * every * rng.uniform(-1, 1, len(at))
    y = x.copy()
    for start in (at * SAMPLE_RATE).astype(int):
        if 0 <= start < len(x) - length:
            y[start : start + length] += level * rng.uniform(0.5, 1.5) * shape
    return y


def _shuffled(
    group: list[tuple[str, Clip | Path | int]], rng: np.random.Generator
) -> list[tuple[str, Clip | Path | int]]:
    return [group[i] for i in rng.permutation(len(group))]


def _samples(kind: str, what: Clip | Path | int, machine: str, normals: Samples, rng: np.random.Generator) -> Samples:
    if isinstance(what, Clip):
        return np.asarray(load_clips([what]).samples[0])
    if isinstance(what, Path):
        sound = read_clip(what, seconds=WINDOW_SECONDS).samples
        return _int16(np.resize(sound, WINDOW_SAMPLES) * 32768.0)
    if kind == "transforms":
        return transformed(normals[what], rng)
    others = [name for name in MACHINES if name != machine]
    sound, _ = render(others[what % len(others)], int(rng.integers(100)), "source", seed=int(rng.integers(2**31)))
    return _int16(sound * 32768.0)


def _int16(x: npt.NDArray[np.floating]) -> Samples:
    return np.asarray(np.clip(np.round(x), -32768, 32767), dtype=np.int16)
