"""A complete bundle from normal sound, on the box: detectors without a network, in about a minute.

Recordings are held out in turn (cross-fitted), so that every window serves the fit and the level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from asd_agent.audio.quality import level_dbfs
from asd_agent.audio.recording import session_of
from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Combination, Condition, FramePooling, Manifest, Member, Provenance
from asd_agent.calibrate.compose import CalibrationSound, FittedExpert, FittedMember, ThresholdSettings, compose
from asd_agent.calibrate.condition import PROVISIONAL_BELOW, DomainData, calibrate_source
from asd_agent.calibrate.golden import golden_windows, write_with_golden
from asd_agent.calibrate.settings import Arrays, DensitySettings
from asd_agent.calibrate.site import SiteSound, blocks
from asd_agent.errors import DataError
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.inference.members import WindowFeatures, Windows, load_member
from asd_agent.inference.providers import Sessions

Detector = Literal["level", "mel_statistics", "indicators", "mixed"]
DETECTORS: Mapping[Detector, tuple[Literal["level", "mel_statistics", "indicators"], ...]] = MappingProxyType(
    {
        "level": ("level",),
        "mel_statistics": ("mel_statistics",),
        "indicators": ("indicators",),
        "mixed": ("indicators", "mel_statistics"),
    }
)
"""Kinds of member by detector; `mixed` combines two quantities as z-scores of equal weight."""
DENSITY = DensitySettings(density="mahalanobis")
LOG_MEL = FeatureSpec(n_fft=1024, hop_length=512, n_mels=128)
"""Front end of `mel_statistics`, that of the recipe `mahalanobis`."""
BATCH = 16
LIBRARIES = ("asd-edge", "numpy", "scipy", "scikit-learn")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Learnt:
    """One section learnt from normal sound, ready to be written.

    Attributes:
        machine: Machine type.
        detector: Kind of detector.
        members: Members of the bundle.
        condition: The section's `source` domain.
        arrays: Arrays of its scorers.
        sound: Sound that it rests on.
        asked: Wanted threshold.
    """

    machine: str
    detector: Detector
    members: tuple[Member, ...]
    condition: Condition
    arrays: Arrays
    sound: SiteSound
    asked: ThresholdSettings

    def write(self, path: Path, name: str) -> Bundle:
        """Write the bundle with golden windows and check it.

        Raises:
            BundleError: Something other than a bundle is in its place.
        """
        manifest = Manifest(
            name=name,
            machine=self.machine,
            provenance=self._provenance(),
            members=list(self.members),
            conditions=[self.condition],
        )
        samples = np.clip(np.round(self.sound.windows[0] * 32768.0), -32768, 32767).astype(np.int16)
        golden = golden_windows([(self.condition.section, "source", samples)], seed=0)
        return write_with_golden(path, manifest, self.arrays, golden, Sessions())

    def _provenance(self) -> Provenance:
        density, features = DENSITY.model_dump(mode="json"), LOG_MEL.model_dump(mode="json")
        experts: list[dict[str, Any]] = [
            {"kind": m.kind, "density": density} | ({"features": features} if m.features else {}) for m in self.members
        ]
        wanted = {"method": self.asked.method, "false_alarms_per_day": self.asked.false_alarms_per_day}
        return Provenance(
            created=datetime.now(tz=timezone.utc).replace(microsecond=0),
            recipe=f"learn-{self.detector}",
            recipe_settings={"name": f"learn-{self.detector}", "experts": experts, "thresholds": wanted},
            data_digest=hashlib.sha256(np.ascontiguousarray(self.sound.windows).tobytes()).hexdigest(),
            seed=0,
            versions=_versions(),
        )


def learn(
    machine: str,
    section: str,
    sound: SiteSound,
    detector: Detector = "mixed",
    asked: ThresholdSettings | None = None,
    progress: Progress | None = None,
) -> Learnt:
    """Fit a detector to normal sound of one section.

    Args:
        machine: Machine type.
        section: Two digits.
        sound: Windows of 10 s; those of one recording are held out together.
        detector: Kind of detector.
        asked: Wanted threshold.
        progress: Called with the windows that are judged and with their number.

    Raises:
        DataError: Fewer than ten windows.
    """
    if len(sound) < PROVISIONAL_BELOW:
        raise DataError(
            f"too few windows of normal sound to learn from: {len(sound)}",
            f"Give at least {PROVISIONAL_BELOW}, better a hundred: a quarter of an hour and more.",
        )
    asked = asked or ThresholdSettings()
    hops, cut = sound.hops(asked.rule), blocks(sound.recordings)
    kinds = DETECTORS[detector]
    total = len(kinds) * (len(sound) + len(hops.begins))
    done = 0
    sessions = Sessions()
    members, experts = [], []
    for kind in kinds:
        member = Member(id=kind, kind=kind, features=LOG_MEL if kind == "mel_statistics" else None)
        infer = load_member(member, Path(), {}, {}, sessions)

        def output(windows: Windows) -> np.ndarray[Any, np.dtype[np.float32]]:
            nonlocal done
            done += len(windows)
            found = infer(WindowFeatures(windows), [section] * len(windows))  # noqa: B023 - called in this round
            if progress:
                progress(done, total)
            return found

        clips = [output(sound.windows[start : start + BATCH]) for start in range(0, len(sound), BATCH)]
        data = DomainData(np.concatenate(clips), cut)
        if len(hops.begins):
            parts = np.array_split(np.arange(len(hops.begins)), -(-len(hops.begins) // BATCH))
            between = np.concatenate([output(hops.cut(sound.windows, part)) for part in parts])
            data = DomainData(data.outputs, cut, between, hops.begins)
        fitted = FittedMember(kind, DENSITY, FramePooling(), calibrate_source(data, DENSITY, FramePooling()))
        members.append(member)
        experts.append(FittedExpert(kind, [fitted], Combination()))
    levels = [level_dbfs(w) for w in sound.windows]
    recordings = sound.recordings
    rests_on = CalibrationSound(
        len(sound), levels, False, hops, len(set(recordings)), session_of(recordings), sound.operating
    )
    condition, arrays = compose(section, "source", experts, Combination(), rests_on, asked)
    return Learnt(machine, detector, tuple(members), condition, arrays, sound, asked)


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            found[name] = "unknown"
    return found
