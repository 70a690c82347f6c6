"""Conditions of the manifest: scoring, statistics and levels of one section in one domain."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from asd_agent.bundle.manifest_parts import (
    ArrayKey,
    ConditionName,
    Density,
    Finite,
    ManifestPart,
    Method,
    Name,
    Rate,
    SectionId,
    Spread,
    Summary,
    check_once,
    without,
)


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
        scale: Scale of the z-scores. `linear` leaves those within ±clip as they are and goes on logarithmically, so
            that one window stays above another after a shift between sessions. `log` is sign(z) · log(1 + |z|), as in
            arithmetic 2: the highest normal scores move apart less than the faults', and levels extrapolated from
            them miss faults. `clip` ends at ±clip, as in arithmetic 1.
        clip: Largest z-score that is left as it is.
    """

    method: Method = "average"
    scale: Literal["linear", "log", "clip"] = "linear"
    clip: float = Field(default=20.0, gt=0, le=1e6)

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `scale` at its default: a recipe that does not name it keeps its digest."""
        return without(whole(self), "scale", "linear")


class ExpertUse(ManifestPart):
    """Members of one family and their combination in one section and domain."""

    name: Name
    members: list[MemberUse] = Field(min_length=1, max_length=1000)
    combination: Combination = Combination()
    standardisation: Standardisation
    reference: ArrayKey

    @model_validator(mode="after")
    def _has_each_member_once(self) -> ExpertUse:
        check_once([use.member for use in self.members], f"expert {self.name!r} has member")
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
        upper_per_day: Upper 95 % limit of the rate, absent where too few clips show one; this and all below are absent
            in earlier bundles.
        upper_alone_per_day: The same while the machine runs in one operating condition of the clips alone, the one of
            which they show least; only where it is larger.
        alone: That operating condition, as the names of the clips state it.
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
    upper_alone_per_day: Rate | None = None
    alone: str = Field(default="", max_length=80)
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
        provisional: Its levels need more sound: too few clips of its own, so that spread and tail are the source
            domain's, or all of one session.
        session: The one session or day that all of its sound comes from, in words.
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
    session: str = Field(default="", max_length=40)
    level_dbfs: tuple[Finite, Finite]
    threshold: Threshold

    @property
    def provisional_text(self) -> str:
        """Reason why its levels are provisional, in words; empty where they are not."""
        if not self.provisional:
            return ""
        if self.session:
            return f"all sound is of {self.session}"
        return f"it rests on {self.clips} clips" if self.clips > 1 else "it rests on one clip"

    @model_validator(mode="after")
    def _is_consistent(self) -> Condition:
        check_once([e.name for e in self.experts], f"section {self.section}, {self.domain} has expert")
        low, high = self.level_dbfs
        if low > high:
            raise ValueError(f"level_dbfs {low:g} to {high:g} is no range")
        return self
