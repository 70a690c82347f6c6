"""A small real bundle, fitted by the trainer's own code to a hum with noise, and sound to try it with."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Member, Provenance
from asd_agent.calibrate import DensitySettings
from asd_agent.calibrate.compose import ThresholdSettings
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import ClipSet
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.fit.bundle import Fitter

RATE = 16_000
WINDOW = 10 * RATE
_RECIPE = {"experts": [{"kind": "mel_statistics", "density": {"density": "mahalanobis"}}]}


def hum(seconds: float, seed: int, *, knocks: bool = False, pitch: float = 120.0) -> np.ndarray:
    """A machine that hums in noise at about -26 dBFS; faulty, it knocks three times a second."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 0.04 * np.sin(2 * np.pi * pitch * t) + 0.02 * rng.normal(size=t.size)
    if knocks:
        ring = np.exp(-np.arange(800) / 100.0) * np.sin(2 * np.pi * 3000 * np.arange(800) / RATE)
        train = (np.arange(t.size) % (RATE // 3) == 0).astype(float)
        sound = sound + 0.4 * np.convolve(train, ring)[: t.size]
    return sound.astype(np.float32)


def write_wav(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    """A 16-bit wav file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate, subtype="PCM_16")
    return path


def normal_clips(section: str, domain: str, clips: int, seed: int, pitch: float = 120.0) -> ClipSet:
    """Normal clips as the trainer loads them."""
    pitch = pitch if domain == "source" else 1.25 * pitch
    names = tuple(f"section_{section}_{domain}_train_normal_{i:04d}.wav" for i in range(clips))
    sounds = [hum(10, seed * 1000 + i, pitch=pitch) for i in range(clips)]
    return ClipSet(names, names, np.round(np.stack(sounds) * 32768).astype(np.int16))


def make_bundle(path: Path, sections: tuple[str, ...] = ("00",), clips: int = 24, pitch: float = 120.0) -> Bundle:
    """Fit and write a bundle whose only member is a plain detector."""
    member = Member(id="mel_statistics", kind="mel_statistics", features=FeatureSpec(n_mels=16))
    plan = ExpertPlan("mel_statistics", [member], DensitySettings(density="mahalanobis"))
    fitter = Fitter("hum", [plan], ThresholdSettings())
    fitter.fit(
        {s: normal_clips(s, "source", clips, 2 * n, pitch) for n, s in enumerate(sections)},
        {s: normal_clips(s, "target", 3, 2 * n + 1, pitch) for n, s in enumerate(sections)},
    )
    made = datetime(2025, 1, 1, tzinfo=timezone.utc)
    provenance = Provenance(
        created=made, recipe="test", recipe_settings=_RECIPE, data_digest="0" * 64, seed=0, versions={}
    )
    return fitter.write(path, path.name, provenance)
