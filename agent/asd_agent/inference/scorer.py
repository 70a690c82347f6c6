"""Scores of a bundle: the one path from windows to scores, on the box and in the trainer's evaluation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Condition, ExpertUse, MemberUse
from asd_agent.inference.densities import FRAME_SPREAD, anomaly_scores, pool_frames, summarised
from asd_agent.inference.ensemble import ensemble_score, standardise
from asd_agent.inference.explanation import ANOMALY_MAPS, UNLIKE_BANK, AnomalyMap, Explanation, explain
from asd_agent.inference.members import Inference, ModelOutput, WindowFeatures, Windows, load_member
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer_arrays import checked_scorers

ExplainedWindows = Literal["none", "unusual", "all"]
"""Windows that get an explanation; `unusual` are those at their clear level and above."""

_AT_ONCE = 8
"""Windows of a long clip in one call: their log-mels and outputs stay below 100 MB."""


@dataclass(frozen=True)
class WindowScore:
    """Score of one window.

    Attributes:
        score: Standardised on held-out normals; higher is more anomalous.
        section: Section whose statistics judged it.
        domain: Domain whose statistics judged it.
        threshold: Raise level of that section and domain.
        clear_level: Level below which the window helps to clear an alarm.
        experts: Standardised score of each expert.
        members: Raw score of each member.
        explanation: Bands, times or quantities that stood out, where they were asked for.
    """

    score: float
    section: str
    domain: str
    threshold: float
    clear_level: float
    experts: dict[str, float]
    members: dict[str, float] = field(default_factory=dict)
    explanation: Explanation | None = None


def member_scores(
    output: npt.NDArray[np.floating], use: MemberUse, scorer: dict[str, npt.NDArray[np.floating]]
) -> npt.NDArray[np.float64]:
    """Raw scores of one member's output, shape (windows, rows, dimensions) to (windows,)."""
    judged = summarised(output, use.summary)
    windows, rows, dimensions = judged.shape
    frames = anomaly_scores(judged.reshape(-1, dimensions), use.density, scorer).reshape(windows, rows)
    return pool_frames(frames, use.pooling, float(scorer.get(FRAME_SPREAD, np.ones(()))))


class BundleScorer:
    """Scorer of windows by the members, experts and statistics of a bundle.

    Args:
        bundle: A verified bundle.
        sessions: Shared ONNX Runtime sessions.

    Raises:
        AsdError: A member or density is not known here, its arrays do not fit, or ONNX Runtime cannot load a graph.
    """

    def __init__(self, bundle: Bundle, sessions: Sessions | None = None) -> None:
        self.bundle = bundle
        self._sessions = sessions or Sessions()
        self._scorers = checked_scorers(bundle)
        manifest = bundle.manifest
        self._members: dict[str, Inference] = {
            m.id: load_member(m, bundle.path, manifest.files, bundle.scorers, self._sessions) for m in manifest.members
        }

    def score(
        self, windows: Windows, section: str, domain: str = "source", *, explained: ExplainedWindows = "none"
    ) -> list[WindowScore]:
        """Score windows of one section.

        Args:
            windows: Shape (windows, samples), 16 kHz, full scale ±1; each as long as the bundle's window.
            section: Its two digits.
            domain: `source`, `target`, `site`, or `auto`: of source and target, the one whose threshold is exceeded
                less.
            explained: Windows that get an explanation, which may take longer than their scores.

        Raises:
            BundleError: The bundle has no such section or domain.
            ValueError: The windows have another length.

        Example:
            >>> from asd_agent.demo.assets import demo_bundle
            >>> scorer = BundleScorer(Bundle.open(demo_bundle()))
            >>> noise = np.random.default_rng(0).normal(size=(1, 160_000)).astype(np.float32)
            >>> (window,) = scorer.score(0.1 * noise, section="00", domain="source")
            >>> window.score > window.threshold
            True
        """
        return self.score_each(windows, [(section, domain)] * len(windows), explained=explained)

    def score_each(
        self, windows: Windows, asked: Sequence[tuple[str, str]], *, explained: ExplainedWindows = "none"
    ) -> list[WindowScore]:
        """Score windows of different sections and domains together, so that each network runs once.

        Args:
            windows: As for `score`.
            asked: Section and domain of each window.
            explained: Windows that get an explanation, which may take longer than their scores.

        Raises:
            BundleError: The bundle has no such section or domain.
            ValueError: The windows have another length, or their number is not that of `asked`.
        """
        if windows.ndim != 2 or windows.shape[1] != self.bundle.manifest.window_samples:
            raise ValueError(f"windows of shape {windows.shape}, wanted (…, {self.bundle.manifest.window_samples})")
        judges = [
            [self.bundle.condition(section, d) for d in self.bundle.domains(section, domain)]
            for section, domain in asked
        ]
        alike: dict[frozenset[str], list[int]] = defaultdict(list)
        for row, (_, conditions) in enumerate(zip(windows, judges, strict=True)):
            alike[frozenset(_members(conditions))].append(row)
        by_row: dict[int, WindowScore] = {}
        for members, rows in alike.items():
            own = windows if len(rows) == len(windows) else windows[rows]
            features = WindowFeatures(np.asarray(own, dtype=np.float32))
            sections = [asked[row][0] for row in rows]
            outputs = {m: self._members[m](features, sections) for m in sorted(members)}
            scores = self._judge_each(outputs, [judges[r] for r in rows], features.windows, explained)
            by_row.update(zip(rows, scores, strict=True))
        return [by_row[row] for row in range(len(windows))]

    def _judge_each(
        self,
        outputs: dict[str, ModelOutput],
        judges: Sequence[Sequence[Condition]],
        windows: Windows,
        explained: ExplainedWindows,
    ) -> list[WindowScore]:
        """Judge each window under its own conditions, the windows of one condition together."""
        rows_of: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, conditions in enumerate(judges):
            for condition in conditions:
                rows_of[condition.section, condition.domain].append(row)
        judged: list[list[WindowScore]] = [[] for _ in judges]
        for (section, domain), rows in rows_of.items():
            own = {m: output[rows] for m, output in outputs.items()}
            scores = self._judge(own, self.bundle.condition(section, domain), windows[rows], explained)
            for row, score in zip(rows, scores, strict=True):
                judged[row].append(score)
        return [min(of_window, key=lambda s: s.score - s.threshold) for of_window in judged]

    def anomaly_map(self, windows: Windows, section: str, domain: str) -> AnomalyMap | None:
        """Map the deviation of windows of one section from the normal level; None where no member has a map.

        Args:
            windows: As for `score`.
            section: Its two digits.
            domain: Domain that judged them.
        """
        uses = [use for e in self.bundle.condition(section, domain).experts for use in e.members]
        for kind, make in ANOMALY_MAPS.items():
            for use in uses:
                member = self.bundle.manifest.member(use.member)
                if member.kind == kind:
                    features = WindowFeatures(np.asarray(windows, dtype=np.float32))
                    output = self.infer(features, member.id, section)
                    return make(member, output, features, self._scorers[use.scorer])
        return None

    def infer(self, features: WindowFeatures, member: str, section: str) -> ModelOutput:
        """Run one member on windows of one section: output of shape (windows, rows, dimensions)."""
        return self._members[member](features, [section] * len(features.windows))

    def _judge(
        self, outputs: dict[str, ModelOutput], condition: Condition, windows: Windows, explained: ExplainedWindows
    ) -> list[WindowScore]:
        arrays = self.bundle.scorers
        raw: dict[str, npt.NDArray[np.float64]] = {}
        experts: dict[str, npt.NDArray[np.float64]] = {}
        for expert in condition.experts:
            for use in expert.members:
                raw[use.member] = member_scores(outputs[use.member], use, self._scorers[use.scorer])
            experts[expert.name] = ensemble_score(
                np.stack([raw[u.member] for u in expert.members]),
                [u.standardisation for u in expert.members],
                [arrays[u.reference] for u in expert.members],
                expert.combination,
            )
        combined = ensemble_score(
            np.stack(list(experts.values())),
            [e.standardisation for e in condition.experts],
            [arrays[e.reference] for e in condition.experts],
            condition.combination,
        )
        total = standardise(combined, condition.standardisation)
        by_expert = {e.name: standardise(experts[e.name], e.standardisation) for e in condition.experts}
        level = condition.threshold
        explained_from = {"none": np.inf, "unusual": level.clear_level, "all": -np.inf}[explained]
        return [
            WindowScore(
                score=float(total[i]),
                section=condition.section,
                domain=condition.domain,
                threshold=level.raise_level,
                clear_level=level.clear_level,
                experts={k: float(v[i]) for k, v in by_expert.items()},
                members={k: float(v[i]) for k, v in raw.items()},
                explanation=self._explain(outputs, condition, by_expert, i, windows[i])
                if total[i] >= explained_from
                else None,
            )
            for i in range(len(total))
        ]

    def _explain(
        self,
        outputs: dict[str, ModelOutput],
        condition: Condition,
        by_expert: dict[str, npt.NDArray[np.float64]],
        index: int,
        window: npt.NDArray[np.floating],
    ) -> Explanation:
        def explain_loudest(experts: Sequence[ExpertUse]) -> Explanation:
            loudest: ExpertUse = max(experts, key=lambda e: float(by_expert[e.name][index]))
            use = loudest.members[0]
            member = self.bundle.manifest.member(use.member)
            return explain(member, outputs[use.member][index], self._scorers[use.scorer], window)

        explanation = explain_loudest(condition.experts)
        if explanation.text != UNLIKE_BANK:
            return explanation
        # An embedding knows no bands; an expert with a lower score may.
        others = [e for e in condition.experts if self._kind(e) != "embedding"]
        if not others:
            return explanation
        other = explain_loudest(others)
        return replace(other, text=f"{UNLIKE_BANK}; {other.text}")

    def _kind(self, expert: ExpertUse) -> str:
        return self.bundle.manifest.member(expert.members[0].member).kind


def _members(conditions: Sequence[Condition]) -> set[str]:
    return {use.member for c in conditions for e in c.experts for use in e.members}


def score_long(
    scorer: BundleScorer,
    signal: npt.NDArray[np.float32],
    section: str,
    domain: str,
    *,
    explained: ExplainedWindows = "none",
) -> WindowScore:
    """Score a clip of any length from one window on: the mean of its windows at hop 5 s, the last flush with its end.

    Under `auto`, windows may be judged by different domains, whose scores and levels do not compare. Those of the
    domain that judged most windows count.

    Returns:
        With a single window that window's score; else mean scores and the explanation of the highest window.

    Raises:
        ValueError: The signal is shorter than a window.
    """
    size = scorer.bundle.manifest.window_samples
    if len(signal) < size:
        raise ValueError(f"{len(signal)} samples are fewer than a window of {size}")
    starts = list(range(0, len(signal) - size + 1, size // 2))
    if starts[-1] + size < len(signal):
        starts.append(len(signal) - size)
    scores: list[WindowScore] = []
    for begin in range(0, len(starts), _AT_ONCE):
        windows = np.stack([signal[s : s + size] for s in starts[begin : begin + _AT_ONCE]])
        scores += scorer.score(windows, section, domain, explained=explained)
    if len(scores) == 1:
        return scores[0]
    most = Counter(s.domain for s in scores).most_common(1)[0][0]
    scores = [s for s in scores if s.domain == most]
    worst = max(scores, key=lambda s: s.score - s.threshold)
    return WindowScore(
        score=float(np.mean([s.score for s in scores])),
        section=section,
        domain=worst.domain,
        threshold=worst.threshold,
        clear_level=worst.clear_level,
        experts={k: float(np.mean([s.experts[k] for s in scores])) for k in worst.experts},
        members={k: float(np.mean([s.members[k] for s in scores])) for k in worst.members},
        explanation=worst.explanation,
    )
