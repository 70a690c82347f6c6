"""manifest.json: everything that a bundle holds, said in one document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import InputSpec

SCHEMA_VERSION = 1
"""Version of this document's form."""

ARITHMETIC_VERSION = 1
"""Version of the score arithmetic; the same bundle gives other numbers under another one."""

Kind = Literal[
    "autoencoder",
    "dense_autoencoder",
    "section_classifier",
    "classifier",
    "embedding",
    "level",
    "mel_statistics",
    "indicators",
]
Density = Literal["gmm", "mahalanobis", "mean", "bank", "posterior_distance"]
DomainName = Literal["source", "target"]
"""Domains that a bundle is trained on."""
ConditionName = Literal["source", "target", "site"]
"""The same, and what was calibrated on the spot."""
Method = Literal["average", "median", "maximum", "minimum", "ranking"]
SectionId = Annotated[str, Field(pattern=r"^\d{2}$")]


class Part(BaseModel):
    """A part of the manifest: fixed once read, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MaskBank(Part):
    """The slice of the mask bank in scorers.npz that a member's test-time replicas use.

    Attributes:
        array: Key in scorers.npz: 0/1, shape (replicas in all, frames, mels); 0 hides a cell.
        first: First replica of the slice.
        count: Replicas.
        pooling: How the replicas' errors become one.
        cells: Whose errors count: all cells', or those alone that a replica's mask hides.
    """

    array: str
    first: int = Field(ge=0)
    count: int = Field(ge=1)
    pooling: Literal["mean", "max"] = "mean"
    cells: Literal["all", "masked"] = "all"


class Member(Part):
    """One trained network or fitted detector.

    Attributes:
        kind: Which observation it makes of a window.
        features: Its front end; None for kinds that look at the waveform, or name theirs in `inputs`.
        inputs: Its front ends by the names of the graph's inputs, where these are not log-mels called `features`.
        graph: The network's file inside the bundle, None without one.
        sections: The ID value that each section has in this network.
        masks: Test-time replicas; None for a single unmasked pass.
    """

    id: str
    kind: Kind
    features: FeatureSpec | None = None
    inputs: dict[str, InputSpec] = Field(default_factory=dict)
    graph: str | None = None
    sections: dict[SectionId, float] = Field(default_factory=dict)
    masks: MaskBank | None = None

    @property
    def front_ends(self) -> dict[str, InputSpec]:
        """Every front end by its input's name."""
        return {"features": self.features, **self.inputs} if self.features else dict(self.inputs)


class Standardisation(Part):
    """z = (score - mean) / std, with both from held-out normal clips."""

    mean: float
    std: float = Field(gt=0)


class FramePooling(Part):
    """From frame scores to one (Eq. 3 of the paper): trimming, then a softmax-weighted mean.

    Attributes:
        trim_low: Share of the lowest frame scores left out.
        trim_high: Share of the highest left out.
        alpha: 0 is the mean; the larger, the nearer to the maximum; None is the maximum.
    """

    trim_low: float = Field(default=0.0, ge=0, lt=0.5)
    trim_high: float = Field(default=0.0, ge=0, lt=0.5)
    alpha: float | None = 0.0


class MemberUse(Part):
    """How one member's observation becomes a score in one section and domain.

    Attributes:
        member: Its id.
        density: `gmm` gives negative log-likelihoods (Eq. 2), `mahalanobis` distances, `mean` the mean observation
            itself, `bank` the distance to the nearest of a bank of normal embeddings, `posterior_distance` a
            classifier's doubt and its standardised distance to what is normal (Eq. 7).
        scorer: Prefix of its arrays in scorers.npz.
        standardisation: Of its scores on held-out normals.
        reference: Key in scorers.npz of those scores, sorted; for `ranking`.
    """

    member: str
    density: Density
    scorer: str
    pooling: FramePooling = FramePooling()
    standardisation: Standardisation
    reference: str


class Combination(Part):
    """How several scores become one: z-scores clipped at ±clip, or tail probabilities for `ranking`."""

    method: Method = "average"
    clip: float = Field(default=20.0, gt=0)


class ExpertUse(Part):
    """One family of members and how they are combined in one section and domain."""

    name: str
    members: list[MemberUse] = Field(min_length=1)
    combination: Combination = Combination()
    standardisation: Standardisation
    reference: str


class Threshold(Part):
    """From scores to levels, in units of the reference spread.

    Attributes:
        raise_level: A window above it is bad.
        clear_level: A window below it helps to clear an alarm.
        method: How it was found.
        window_rate: Share of normal windows that should exceed it.
        false_alarms_per_day: What that means after k-of-n, by the rule in `asd_agent.alarm.rate`.
        wanted_per_day: What was asked for; more than attainable when the reference is small.
        extrapolated: The level lies where fewer than three reference scores in a hundred tell of it.
    """

    raise_level: float
    clear_level: float
    method: Literal["quantile", "gamma", "tail"]
    window_rate: float
    false_alarms_per_day: float
    wanted_per_day: float
    extrapolated: bool = False


class Condition(Part):
    """One section in one domain: who listens, how scores are formed, and what is too much.

    Attributes:
        clips: Normal clips that the statistics come from.
        provisional: Too few of its own; spread and tail are borrowed from the source domain.
        level_dbfs: Lowest and highest level in calibration, widened; outside it a window is suspect.
        reference: Key in scorers.npz of the standardised scores of held-out normals, sorted.
    """

    section: SectionId
    domain: ConditionName
    experts: list[ExpertUse] = Field(min_length=1)
    combination: Combination = Combination()
    standardisation: Standardisation
    reference: str
    clips: int = Field(ge=1)
    provisional: bool = False
    level_dbfs: tuple[float, float]
    threshold: Threshold


class Provenance(Part):
    """Where a bundle comes from.

    Attributes:
        chosen_by_labels: Sections whose labelled anomalies chose among the members; none by default.
    """

    created: datetime
    recipe: str
    recipe_settings: dict[str, Any]
    data_digest: str
    seed: int
    versions: dict[str, str]
    chosen_by_labels: list[SectionId] = Field(default_factory=list)


class Manifest(Part):
    """The whole document.

    Attributes:
        machine: Machine type.
        tolerance: Largest difference that a golden score may show on another box or provider.
        files: Every other file of the bundle with its SHA-256.
        metrics: What `evaluate` measured, by section and domain; for people.
    """

    schema_version: Literal[1] = 1
    arithmetic_version: int = ARITHMETIC_VERSION
    name: str
    machine: str
    sample_rate: Literal[16000] = 16000
    window_seconds: float = 10.0
    tolerance: float = 1e-3
    provenance: Provenance
    members: list[Member]
    conditions: list[Condition] = Field(min_length=1)
    metrics: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refer(self) -> Manifest:
        known = {m.id for m in self.members}
        if len(known) != len(self.members):
            raise ValueError("two members have one id")
        for condition in self.conditions:
            for expert in condition.experts:
                for use in expert.members:
                    if use.member not in known:
                        raise ValueError(f"section {condition.section} names member {use.member!r}, which is not there")
        for member in self.members:
            if member.graph is not None and member.graph not in self.files:
                raise ValueError(f"graph {member.graph!r} of member {member.id!r} is not among the files")
        return self

    def condition(self, section: str, domain: str) -> Condition | None:
        """The condition of a section and domain, if the bundle has it."""
        return next((c for c in self.conditions if (c.section, c.domain) == (section, domain)), None)

    def member(self, member_id: str) -> Member:
        """A member by its id."""
        return next(m for m in self.members if m.id == member_id)

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)
