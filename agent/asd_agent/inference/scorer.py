"""A bundle's scores: the one path that windows take, on the box and in the trainer's evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Condition, ExpertUse, MemberUse
from asd_agent.errors import BundleError
from asd_agent.inference.anomaly_map import ANOMALY_MAP_KINDS, AnomalyMap, anomaly_map_of
from asd_agent.inference.densities import anomaly_scores
from asd_agent.inference.ensemble import combine, standardise
from asd_agent.inference.explanation import UNLIKE, Explanation, explain
from asd_agent.inference.members import Observation, Observer, WindowFeatures, Windows, observer
from asd_agent.inference.pooling import pool_frames
from asd_agent.inference.providers import Sessions

Explained = Literal["none", "unusual", "all"]
"""Which windows tell what stood out; `unusual` are those at their clear level and above."""


@dataclass(frozen=True)
class WindowScore:
    """What one window got.

    Attributes:
        score: Standardised on held-out normals; higher is more anomalous.
        section: Whose it is.
        domain: The domain that judged it.
        threshold: The raise level it is held against.
        clear_level: The level below which it helps to clear.
        experts: Each expert's own standardised score.
        members: Each member's raw score.
        explanation: What stood out, if asked for.
    """

    score: float
    section: str
    domain: str
    threshold: float
    clear_level: float
    experts: dict[str, float]
    members: dict[str, float] = field(default_factory=dict)
    explanation: Explanation | None = None


def scorer_arrays(arrays: dict[str, npt.NDArray[np.floating]], prefix: str) -> dict[str, npt.NDArray[np.floating]]:
    """The arrays of one scorer, by their names without the prefix."""
    start = prefix + "/"
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def member_scores(
    observation: Observation, use: MemberUse, scorer: dict[str, npt.NDArray[np.floating]]
) -> npt.NDArray[np.float64]:
    """Raw scores of one member, shape (windows, rows, dimensions) to (windows,)."""
    windows, rows, dimensions = observation.shape
    frames = anomaly_scores(observation.reshape(-1, dimensions), use.density, scorer).reshape(windows, rows)
    return pool_frames(frames, use.pooling)


class BundleScorer:
    """Scores windows with a bundle.

    Args:
        bundle: A verified bundle.
        sessions: Shared ONNX Runtime sessions.
    """

    def __init__(self, bundle: Bundle, sessions: Sessions | None = None) -> None:
        self.bundle = bundle
        self._sessions = sessions or Sessions()
        manifest = bundle.manifest
        self._observers: dict[str, Observer] = {
            m.id: observer(m, bundle.path, manifest.files, bundle.scorers, self._sessions) for m in manifest.members
        }
        self._scorers = {
            use.scorer: scorer_arrays(bundle.scorers, use.scorer)
            for c in manifest.conditions
            for e in c.experts
            for use in e.members
        }

    def score(
        self, windows: Windows, section: str, domain: str = "source", *, explained: Explained = "none"
    ) -> list[WindowScore]:
        """Score windows of one section.

        Args:
            windows: Shape (windows, samples), 16 kHz, full scale ±1; each as long as the bundle's window.
            section: Its two digits.
            domain: `source`, `target`, or `auto`: of both, the one whose threshold is exceeded less.
            explained: Which windows also tell what stood out, which may take longer than their scores.

        Raises:
            BundleError: The bundle has no such section or domain.
            ValueError: The windows have another length.
        """
        return self.score_each(windows, [(section, domain)] * len(windows), explained=explained)

    def score_each(
        self, windows: Windows, asked: Sequence[tuple[str, str]], *, explained: Explained = "none"
    ) -> list[WindowScore]:
        """Score windows of different sections and domains together: what their networks share is done once.

        Args:
            windows: As for `score`.
            asked: Section and domain of each.
            explained: Which windows also tell what stood out, which may take longer than their scores.

        Raises:
            BundleError: The bundle has no such section or domain.
            ValueError: The windows have another length, or there are not as many as are asked for.
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
        found: dict[int, WindowScore] = {}
        for members, rows in alike.items():
            own = windows if len(rows) == len(windows) else windows[rows]
            features = WindowFeatures(np.asarray(own, dtype=np.float32))
            sections = [asked[row][0] for row in rows]
            observations = {m: self._observers[m](features, sections) for m in sorted(members)}
            scores = self._judge_each(observations, [judges[r] for r in rows], features.windows, explained)
            found.update(zip(rows, scores, strict=True))
        return [found[row] for row in range(len(windows))]

    def _judge_each(
        self,
        observations: dict[str, Observation],
        judges: Sequence[Sequence[Condition]],
        windows: Windows,
        explained: Explained,
    ) -> list[WindowScore]:
        """Each window by its own conditions, those of one condition together."""
        rows_of: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, conditions in enumerate(judges):
            for condition in conditions:
                rows_of[condition.section, condition.domain].append(row)
        judged: list[list[WindowScore]] = [[] for _ in judges]
        for (section, domain), rows in rows_of.items():
            own = {m: seen[rows] for m, seen in observations.items()}
            scores = self._judge(own, self.bundle.condition(section, domain), windows[rows], explained)
            for row, score in zip(rows, scores, strict=True):
                judged[row].append(score)
        return [min(of_window, key=lambda s: s.score - s.threshold) for of_window in judged]

    def excess(self, windows: Windows, section: str, domain: str) -> AnomalyMap | None:
        """Where in time and frequency windows of one section lay above the usual; None where no member can tell.

        Args:
            windows: As for `score`.
            section: Its two digits.
            domain: The one that judged them.
        """
        uses = [use for e in self.bundle.condition(section, domain).experts for use in e.members]
        for kind in ANOMALY_MAP_KINDS:
            for use in uses:
                member = self.bundle.manifest.member(use.member)
                if member.kind == kind:
                    features = WindowFeatures(np.asarray(windows, dtype=np.float32))
                    observation = self.observe(features, member.id, section)
                    return anomaly_map_of(member, observation, features, self._scorers[use.scorer])
        return None

    def observe(self, features: WindowFeatures, member: str, section: str) -> Observation:
        """What one member observes of windows of one section, shape (windows, rows, dimensions)."""
        return self._observers[member](features, [section] * len(features.windows))

    def _judge(
        self, observations: dict[str, Observation], condition: Condition, windows: Windows, explained: Explained
    ) -> list[WindowScore]:
        arrays = self.bundle.scorers
        raw: dict[str, npt.NDArray[np.float64]] = {}
        experts: dict[str, npt.NDArray[np.float64]] = {}
        for expert in condition.experts:
            for use in expert.members:
                raw[use.member] = member_scores(observations[use.member], use, self._scorers[use.scorer])
            experts[expert.name] = combine(
                np.stack([raw[u.member] for u in expert.members]),
                [u.standardisation for u in expert.members],
                [arrays[u.reference] for u in expert.members],
                expert.combination,
            )
        combined = combine(
            np.stack(list(experts.values())),
            [e.standardisation for e in condition.experts],
            [arrays[e.reference] for e in condition.experts],
            condition.combination,
        )
        total = standardise(combined, condition.standardisation)
        by_expert = {e.name: standardise(experts[e.name], e.standardisation) for e in condition.experts}
        level = condition.threshold
        told = {"none": np.inf, "unusual": level.clear_level, "all": -np.inf}[explained]
        return [
            WindowScore(
                score=float(total[i]),
                section=condition.section,
                domain=condition.domain,
                threshold=level.raise_level,
                clear_level=level.clear_level,
                experts={k: float(v[i]) for k, v in by_expert.items()},
                members={k: float(v[i]) for k, v in raw.items()},
                explanation=self._explain(observations, condition, by_expert, i, windows[i])
                if total[i] >= told
                else None,
            )
            for i in range(len(total))
        ]

    def _explain(
        self,
        observations: dict[str, Observation],
        condition: Condition,
        by_expert: dict[str, npt.NDArray[np.float64]],
        index: int,
        window: npt.NDArray[np.floating],
    ) -> Explanation:
        def told(experts: Sequence[ExpertUse]) -> Explanation:
            loudest: ExpertUse = max(experts, key=lambda e: float(by_expert[e.name][index]))
            use = loudest.members[0]
            member = self.bundle.manifest.member(use.member)
            return explain(member, observations[use.member][index], self._scorers[use.scorer], window)

        found = told(condition.experts)
        if found.text != UNLIKE:
            return found
        # An embedding knows no bands; an expert that is less excited may.
        others = [e for e in condition.experts if self._kind(e) != "embedding"]
        if not others:
            return found
        other = told(others)
        return replace(other, text=f"{UNLIKE}; {other.text}")

    def _kind(self, expert: ExpertUse) -> str:
        return self.bundle.manifest.member(expert.members[0].member).kind


def _members(conditions: Sequence[Condition]) -> set[str]:
    return {use.member for c in conditions for e in c.experts for use in e.members}


def check_golden(scorer: BundleScorer) -> float:
    """Score a bundle's golden windows again.

    Returns:
        The largest difference to the scores that the export wrote down.

    Raises:
        BundleError: It is larger than the manifest's tolerance, or there is none.
    """
    golden, tolerance = scorer.bundle.golden(), scorer.bundle.manifest.tolerance
    worst = 0.0
    if not len(golden.get("windows", ())):
        raise BundleError(f"{scorer.bundle.path}: holds no golden windows", "Export the bundle again.")
    for index, (section, domain) in enumerate(zip(golden["sections"], golden["domains"], strict=True)):
        window = golden["windows"][index : index + 1].astype(np.float32) / 32768.0
        got = scorer.score(window, str(section), str(domain))[0]
        pairs = [("the ensemble", got.score, float(golden["scores"][index]))]
        pairs += [(f"member {m}", got.members[m], float(golden[f"member/{m}"][index])) for m in got.members]
        for name, value, wanted in pairs:
            difference = abs(value - wanted)
            if not difference <= tolerance * max(1.0, abs(wanted)):
                raise BundleError(
                    f"{scorer.bundle.path}: golden window {index} (section {section}, {domain}): {name} gives "
                    f"{value:.6g}, the export gave {wanted:.6g}",
                    "The execution provider computes differently here; use another one, or export the bundle again.",
                )
            worst = max(worst, difference)
    return worst


def score_long(
    scorer: BundleScorer,
    signal: npt.NDArray[np.float32],
    section: str,
    domain: str,
    *,
    explained: Explained = "none",
) -> WindowScore:
    """Score a clip of any length from one window on: the mean of its windows at hop 5 s, the last flush with its end.

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
    windows = np.stack([signal[s : s + size] for s in starts])
    scores = scorer.score(windows, section, domain, explained=explained)
    if len(scores) == 1:
        return scores[0]
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
