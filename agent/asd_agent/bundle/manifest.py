"""Schema of manifest.json: everything that a bundle holds, in one document.

Every text and number has bounds, since a bundle comes from outside: a level that is infinite makes a monitor deaf, a
transform of two billion samples fills the memory, a line break in a name forges a line of the log.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import InputSpec, SpectrumSpec, StftSpec

SCHEMA_VERSION = 1
"""Version of this document's form; `manifest_reader` upgrades documents of the version before."""

ARITHMETIC_VERSION = 2
"""Version of the score arithmetic; the same bundle gives other numbers under another one. 2: z-scores are compressed
before they are combined, and α of Eq. 3 counts in spreads of frame scores."""

Kind = Literal[
    "autoencoder",
    "dense_autoencoder",
    "section_classifier",
    "classifier",
    "embedding",
    "network",
    "level",
    "mel_statistics",
    "mel_spectrum",
    "indicators",
]
Density = Literal["gmm", "mahalanobis", "mean", "bank", "posterior_distance", "logit_distance"]
Summary = Literal["rows", "mean", "statistics"]
"""Part of an output that a density judges: each row, the mean over them, or their mean and spread."""
DomainName = Literal["source", "target"]
"""Domains that a bundle is trained on."""
ConditionName = Literal["source", "target", "site"]
"""The same, and the domain that is calibrated on the box."""
Method = Literal["average", "median", "maximum", "minimum", "ranking"]
SectionId = Annotated[str, Field(pattern=r"^[0-9][0-9]$")]

MOST_CELLS = 1 << 22
"""Cells of one window's spectrogram: 34 MB of float64. The largest of a recipe has 80,000: 128 bands every 16 ms."""
MOST_FRAME_SAMPLES = 1 << 27
"""Samples of all frames of a window, which bound the time of its transforms: 4 s on a slow core. Recipes have 3e5."""


def _check_name(value: str) -> str:
    if not value.isprintable() or set(value) & set("[]/\\") or value != value.strip():
        raise ValueError("has a character that no name may have: a control character, '[', ']', '/' or '\\'")
    return value


def without(content: dict[str, Any], key: str, default: object) -> dict[str, Any]:
    """Return serialised content without a key that has its default."""
    return {k: v for k, v in content.items() if k != key or v != default}


def _check_text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has a control character or half of one character")
    return value


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_check_name)]
"""Name that tables, log lines and paths show: printable, without the characters of markup and of paths."""
Text = Annotated[str, Field(max_length=1000), AfterValidator(_check_text)]
ArrayKey = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_check_text)]
"""Key in scorers.npz, such as `00/source/ae-0/reference`."""
GraphName = Annotated[str, Field(max_length=100), AfterValidator(_check_text)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hexadecimal."""
Finite = Annotated[float, Field(ge=-1e15, le=1e15)]
"""Score, mean or level: products and sums of such numbers are finite."""
Spread = Annotated[float, Field(ge=1e-12, le=1e15)]
"""Standard deviation; fitting gives none below 1e-6."""
Rate = Annotated[float, Field(ge=0, le=1e9)]
"""Events a day."""


class ManifestPart(BaseModel):
    """Base of every part of the manifest: fixed once read, no unknown keys, finite numbers alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class Standardisation(ManifestPart):
    """z = (score - mean) / std, with both from held-out normal clips."""

    mean: Finite
    std: Spread


class FramePooling(ManifestPart):
    """Pooling of frame scores to one (Eq. 3 of the paper): trimming, then a softmax-weighted mean.

    Attributes:
        trim_low: Share of the lowest frame scores left out.
        trim_high: Share of the highest left out.
        alpha: 0 is the mean; the larger, the nearer to the maximum; None is the maximum.
        unit: Unit that alpha counts in: spreads of normal frame scores, or raw scores as in arithmetic 1.
    """

    trim_low: float = Field(default=0.0, ge=0, lt=0.5)
    trim_high: float = Field(default=0.0, ge=0, lt=0.5)
    alpha: float | None = Field(default=0.0, ge=0, le=1e6)
    unit: Literal["spreads", "scores"] = "spreads"

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `unit` at its default: what was trained before the field existed keeps its digest."""
        return without(whole(self), "unit", "spreads")


class MemberUse(ManifestPart):
    """Scoring of one member's output in one section and domain.

    Attributes:
        member: Its id.
        density: `gmm` gives negative log-likelihoods (Eq. 2), `mahalanobis` distances, `mean` the mean output itself,
            `bank` the distance to the nearest of a bank of normal embeddings, `posterior_distance` a classifier's doubt
            and its standardised distance to the normal centroid (Eq. 7), `logit_distance` the same with the doubt as a
            standardised logit.
        summary: What of the output the density judges.
        scorer: Prefix of its arrays in scorers.npz.
        standardisation: Mean and spread of its scores on held-out normals.
        reference: Key in scorers.npz of those scores, sorted; for `ranking`.
    """

    member: Name
    density: Density
    summary: Summary = "rows"
    scorer: ArrayKey
    pooling: FramePooling = FramePooling()
    standardisation: Standardisation
    reference: ArrayKey


class Combination(ManifestPart):
    """Combination of several scores: z-scores, or tail probabilities for `ranking`.

    Attributes:
        method: From several scores to one.
        scale: Scale of the z-scores: compressed to sign(z) · log(1 + |z|), which stays strictly monotone, or clipped at
            ±clip as in arithmetic 1. After a shift between sessions all scores are beyond a clip, and none is above
            another.
        clip: Largest z-score where they are clipped.
    """

    method: Method = "average"
    scale: Literal["log", "clip"] = "log"
    clip: float = Field(default=20.0, gt=0, le=1e6)

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `scale` at its default: what was trained before the field existed keeps its digest."""
        return without(whole(self), "scale", "log")


class ExpertUse(ManifestPart):
    """Members of one family and their combination in one section and domain."""

    name: Name
    members: list[MemberUse] = Field(min_length=1, max_length=1000)
    combination: Combination = Combination()
    standardisation: Standardisation
    reference: ArrayKey

    @model_validator(mode="after")
    def _has_each_member_once(self) -> ExpertUse:
        _check_once([use.member for use in self.members], f"expert {self.name!r} has member")
        return self


class AlarmRule(ManifestPart):
    """Rule that a rate holds for: k of the last n windows raise, some successive ones below the clear level clear."""

    k: int = Field(ge=1, le=1000)
    n: int = Field(ge=1, le=1000)
    hop_seconds: float = Field(gt=0, le=3600)
    window_seconds: float = Field(gt=0, le=3600)
    clear_after: int = Field(ge=1, le=1000)


class Threshold(ManifestPart):
    """Levels of a section and domain, in units of the reference spread.

    Attributes:
        raise_level: A window above it counts for an alarm.
        clear_level: A window below it counts for clearing an alarm; at most the raise level.
        method: Method of its computation.
        window_rate: Share of normal windows that should exceed it.
        false_alarms_per_day: Expected rate after k-of-n, by the rule in `asd_agent.alarm.rate`.
        wanted_per_day: Wanted rate; more than attainable when the reference is small.
        extrapolated: The level is beyond the highest reference score.
        upper_per_day: Upper 95 % limit of the rate; this and all below are absent in earlier bundles.
        least_per_day: Smallest rate that the normal sound supports.
        attainable: Whether the wanted rate is at least that.
        basis: Contiguous recordings (`streams`) or loose `clips`.
        hours: Hours of that sound.
        recordings: Recordings that it comes from.
        rule: Rule that the rates hold for.
    """

    raise_level: Finite
    clear_level: Finite
    method: Literal["quantile", "gamma", "tail"]
    window_rate: float = Field(ge=0, le=1)
    false_alarms_per_day: Rate
    wanted_per_day: Rate
    extrapolated: bool = False
    upper_per_day: Rate | None = None
    least_per_day: Rate | None = None
    attainable: bool | None = None
    basis: Literal["streams", "clips"] | None = None
    hours: float | None = Field(default=None, ge=0)
    recordings: int | None = Field(default=None, ge=1)
    rule: AlarmRule | None = None

    @model_validator(mode="after")
    def _clears_below(self) -> Threshold:
        if self.clear_level > self.raise_level:
            raise ValueError(f"clear_level {self.clear_level:g} is above raise_level {self.raise_level:g}")
        return self


class Condition(ManifestPart):
    """One section in one domain: its experts, the statistics of their scores, and its levels.

    Attributes:
        clips: Normal clips that the statistics come from.
        provisional: Too few clips of its own; spread and tail are the source domain's.
        level_dbfs: Lowest and highest level in calibration, widened; outside it a window is suspect.
        reference: Key in scorers.npz of the standardised scores of held-out normals, sorted.
    """

    section: SectionId
    domain: ConditionName
    experts: list[ExpertUse] = Field(min_length=1, max_length=100)
    combination: Combination = Combination()
    standardisation: Standardisation
    reference: ArrayKey
    clips: int = Field(ge=1, le=1_000_000_000)
    provisional: bool = False
    level_dbfs: tuple[Finite, Finite]
    threshold: Threshold

    @model_validator(mode="after")
    def _is_consistent(self) -> Condition:
        _check_once([e.name for e in self.experts], f"section {self.section}, {self.domain} has expert")
        low, high = self.level_dbfs
        if low > high:
            raise ValueError(f"level_dbfs {low:g} to {high:g} is no range")
        return self


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
        _check_once([f"{c.section}, {c.domain}" for c in self.conditions], "it has section")
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


def _check_once(names: list[str], subject: str) -> None:
    repeated = next((n for i, n in enumerate(names) if n in names[:i]), None)
    if repeated is not None:
        raise ValueError(f"{subject} {repeated!r} twice")


def _check_cost(member: str, spec: InputSpec, samples: int) -> None:
    """Refuse a front end that needs too much memory or time for one window, or more samples than it has."""
    if isinstance(spec, SpectrumSpec):
        return
    frames, bins = spec.shape(samples) if isinstance(spec, StftSpec) else (spec.frames(samples), spec.n_mels)
    if frames < 1:
        raise ValueError(f"member {member!r} has n_fft {spec.n_fft}, more than the {samples} samples of a window")
    if frames * bins > MOST_CELLS or frames * spec.n_fft > MOST_FRAME_SAMPLES:
        raise ValueError(f"member {member!r} has features of {frames} frames of {spec.n_fft} samples: too many")
