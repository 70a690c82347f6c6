"""Stages of one window through a bundle, in the order in which the service takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from asd_agent.audio.quality import QualityLimits, assess
from asd_agent.audio.ring import Ring
from asd_agent.bench.timing import Effort, Times, Work, measure
from asd_agent.bundle.manifest import Condition, Member
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import SpectrumSpec, StftSpec, front_end
from asd_agent.inference.explanation import explain
from asd_agent.inference.members import WindowFeatures
from asd_agent.inference.scorer import BundleScorer, member_scores
from asd_agent.inference.scorer_arrays import scorer_arrays

Window = npt.NDArray[np.float32]
Progress = Callable[[str], None]
_RING_SECONDS = 60.0


@dataclass(frozen=True)
class StageTimes:
    """Times of one stage.

    Attributes:
        name: Name of the stage.
        part: Front end or member that it belongs to; empty for the whole.
        times: Times of its repeats.
    """

    name: str
    part: str
    times: Times


def window_stages(
    scorer: BundleScorer,
    condition: Condition,
    window: Window,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> list[StageTimes]:
    """Time every stage of one window.

    Args:
        scorer: The bundle.
        condition: Section and domain that judges it.
        window: Shape (samples,).
        effort: Number of repeats of each stage.
        progress: Called with the name of each stage as it begins.
    """
    found = []
    for name, part, work in _stages(scorer, condition, window):
        if progress:
            progress(f"{name} {part}".strip())
        found.append(StageTimes(name, part, measure(work, effort)))
    return found


def _stages(scorer: BundleScorer, condition: Condition, window: Window) -> Iterator[tuple[str, str, Work]]:
    ring = Ring(_RING_SECONDS)
    while ring.end < ring.capacity:
        ring.write(window[:, None])
    yield "ring copy", "", partial(ring.read, ring.begin, len(window))
    limits = QualityLimits(*condition.level_dbfs)
    yield "quality", "", partial(assess, window, limits=limits)
    uses = [use for expert in condition.experts for use in expert.members]
    members = {use.member: scorer.bundle.manifest.member(use.member) for use in uses}
    features = WindowFeatures(window[None])
    for spec in dict.fromkeys(s for m in members.values() for s in m.front_ends.values()):
        yield spec.kind.replace("_", "-"), _front_end(spec), partial(front_end, window, spec)
        features.of(spec)  # computed once for all members of one front end
    for use in uses:
        yield (
            _inference_name(members[use.member]),
            use.member,
            partial(scorer.infer, features, use.member, condition.section),
        )
        seen = scorer.infer(features, use.member, condition.section)
        arrays = scorer_arrays(scorer.bundle.scorers, use.scorer)
        yield "density and pooling", use.member, partial(member_scores, seen, use, arrays)
    first = uses[0]
    seen = scorer.infer(features, first.member, condition.section)
    arrays = scorer_arrays(scorer.bundle.scorers, first.scorer)
    yield "explanation", first.member, partial(explain, members[first.member], seen[0], arrays, window)
    yield "whole window", "", whole_window(scorer, condition, window, ring, limits)


def whole_window(scorer: BundleScorer, condition: Condition, window: Window, ring: Ring, limits: QualityLimits) -> Work:
    """Return a function that does everything that the service does to one window before it is published."""

    def work() -> object:
        ring.read(ring.begin, len(window))
        assess(window, limits=limits)
        return scorer.score(window[None], condition.section, condition.domain, explained="unusual")

    return work


def _front_end(spec: FeatureSpec | StftSpec | SpectrumSpec) -> str:
    if isinstance(spec, SpectrumSpec):
        return f"{spec.f_min:g} to {spec.f_max:g} Hz"
    if isinstance(spec, StftSpec):
        return f"n_fft {spec.n_fft}, hop {spec.hop_length}"
    return f"{spec.n_mels} bands, n_fft {spec.n_fft}, hop {spec.hop_length}"


def _inference_name(member: Member) -> str:
    if member.graph is None:
        return "statistics"
    return f"network, {member.masks.count} replicas" if member.masks else "network"
