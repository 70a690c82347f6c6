"""Schema of manifest.json: everything that a bundle holds, in one document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from asd_agent.bundle.condition import (
    AlarmRule,
    Combination,
    Condition,
    ExpertUse,
    FramePooling,
    MemberUse,
    Standardisation,
    Threshold,
)
from asd_agent.bundle.manifest_parts import (
    ArrayKey,
    ConditionName,
    Density,
    Digest,
    DomainName,
    Finite,
    GraphName,
    Kind,
    ManifestPart,
    Method,
    Name,
    SectionId,
    Summary,
    Text,
    check_once,
    without,
)
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import InputSpec, SpectrumSpec, StftSpec

__all__ = [
    "ARITHMETIC_VERSION",
    "SCHEMA_VERSION",
    "AlarmRule",
    "Combination",
    "Condition",
    "ConditionName",
    "Density",
    "DomainName",
    "ExpertUse",
    "FramePooling",
    "Kind",
    "Manifest",
    "ManifestPart",
    "MaskBank",
    "Member",
    "MemberUse",
    "Method",
    "Provenance",
    "SectionId",
    "Standardisation",
    "Summary",
    "Threshold",
    "without",
]

SCHEMA_VERSION = 1
"""Version of this document's form; `manifest_reader` upgrades documents of the version before."""

ARITHMETIC_VERSION = 3
"""Version of the score arithmetic; the same bundle gives other numbers under another one. 2: z-scores are compressed
before they are combined, and α of Eq. 3 counts in spreads of frame scores. 3: z-scores are combined as they are."""

MOST_CELLS = 1 << 22
"""Cells of one window's spectrogram: 34 MB of float64. The largest of a recipe has 80,000: 128 bands every 16 ms."""
MOST_FRAME_SAMPLES = 1 << 27
"""Samples of all frames of a window, which bound the time of its transforms: 4 s on a slow core. Recipes have 3e5."""


class MaskBank(ManifestPart):
    """Slice of the mask bank in scorers.npz that a member's test-time replicas use.

    Attributes:
        array: Key in scorers.npz: 0/1, shape (all replicas, frames, mels); 0 hides a cell.
        first: First replica of the slice.
        count: Number of replicas.
        pooling: Pooling of the replicas' errors.
        cells: Cells whose errors count: all, or those alone that a replica's mask hides.
    """

    array: ArrayKey
    first: int = Field(ge=0, le=1_000_000)
    count: int = Field(ge=1, le=1000)
    pooling: Literal["mean", "max"] = "mean"
    cells: Literal["all", "masked"] = "all"


class Member(ManifestPart):
    """One trained network or fitted detector.

    Attributes:
        kind: Kind of its output for a window.
        features: Its front end; None for kinds that use the waveform, or name their front ends in `inputs`.
        inputs: Its front ends by the names of the graph's inputs, where these are not log-mels called `features`.
        graph: The network's file inside the bundle, None without one.
        sections: ID value of each section in this network.
        masks: Test-time replicas; None for a single unmasked pass.
    """

    id: Name
    kind: Kind
    features: FeatureSpec | None = None
    inputs: dict[Name, InputSpec] = Field(default_factory=dict, max_length=10)
    graph: GraphName | None = None
    sections: dict[SectionId, Finite] = Field(default_factory=dict)
    masks: MaskBank | None = None

    @property
    def front_ends(self) -> dict[str, InputSpec]:
        """Every front end by its input's name."""
        return {"features": self.features, **self.inputs} if self.features else dict(self.inputs)


class Provenance(ManifestPart):
    """Origin of a bundle.

    Attributes:
        chosen_by_labels: Sections whose labelled anomalies chose among the members; none by default.
    """

    created: datetime
    recipe: Text
    recipe_settings: dict[str, Any]
    data_digest: Text
    seed: int = Field(ge=-(2**63), lt=2**64)
    versions: dict[Text, Text] = Field(max_length=100)
    chosen_by_labels: list[SectionId] = Field(default_factory=list, max_length=100)


class Manifest(ManifestPart):
    """The whole document.

    Attributes:
        schema_version: Version of the document's form.
        arithmetic_version: Version of the score arithmetic that the export used.
        machine: Machine type.
        window_seconds: Length of the signal that one score judges.
        tolerance: Largest difference of a golden score on another box or provider; relative to scores above 1. At 0.1
            the check would miss a provider that computes in 8 bits.
        files: SHA-256 of every other file of the bundle.
        metrics: Results of `evaluate` by section and domain, for people.
    """

    schema_version: int = SCHEMA_VERSION
    arithmetic_version: int = ARITHMETIC_VERSION
    name: Name
    machine: Name
    sample_rate: Literal[16000] = 16000
    window_seconds: float = Field(default=10.0, ge=1, le=60)
    tolerance: float = Field(default=1e-3, ge=0, le=0.1)
    provenance: Provenance
    members: list[Member] = Field(max_length=1000)
    conditions: list[Condition] = Field(min_length=1, max_length=1000)
    metrics: dict[str, Any] = Field(default_factory=dict)
    files: dict[GraphName, Digest] = Field(default_factory=dict, max_length=1000)

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        known = {m.id for m in self.members}
        if len(known) != len(self.members):
            raise ValueError("two members have one id")
        check_once([f"{c.section}, {c.domain}" for c in self.conditions], "it has section")
        for condition in self.conditions:
            for expert in condition.experts:
                for use in expert.members:
                    if use.member not in known:
                        raise ValueError(f"section {condition.section} names member {use.member!r}, which is missing")
        for member in self.members:
            if member.graph is not None and member.graph not in self.files:
                raise ValueError(f"graph {member.graph!r} of member {member.id!r} is not among the files")
            for spec in member.front_ends.values():
                if spec.sample_rate != self.sample_rate:
                    raise ValueError(f"member {member.id!r} has features of {spec.sample_rate} Hz")
                _check_cost(member.id, spec, self.window_samples)
        return self

    def condition(self, section: str, domain: str) -> Condition | None:
        """Return the condition of a section and domain, if the bundle has it."""
        return next((c for c in self.conditions if (c.section, c.domain) == (section, domain)), None)

    def member(self, member_id: str) -> Member:
        """Return a member by its id."""
        return next(m for m in self.members if m.id == member_id)

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)


def _check_cost(member: str, spec: InputSpec, samples: int) -> None:
    """Refuse a front end that needs too much memory or time for one window, or more samples than it has."""
    if isinstance(spec, SpectrumSpec):
        return
    frames, bins = spec.shape(samples) if isinstance(spec, StftSpec) else (spec.frames(samples), spec.n_mels)
    if frames < 1:
        raise ValueError(f"member {member!r} has n_fft {spec.n_fft}, more than the {samples} samples of a window")
    if frames * bins > MOST_CELLS or frames * spec.n_fft > MOST_FRAME_SAMPLES:
        raise ValueError(f"member {member!r} has features of {frames} frames of {spec.n_fft} samples: too many")
