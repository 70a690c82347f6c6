"""From members to a bundle: observations of held-out normals, scorers, standardisation, thresholds, golden windows.

Everything that forms a score is the agent's own code; nothing here looks at a test clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import (
    Combination,
    Condition,
    DomainName,
    ExpertUse,
    FramePooling,
    Manifest,
    Member,
    MemberUse,
    Provenance,
)
from asd_agent.bundle.store import GOLDEN, SCORERS, Bundle, file_digest, write_bundle
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import Calibrated, standardisation
from asd_agent.errors import DataError
from asd_agent.quality import level_dbfs
from asd_agent.scoring.combine import combine, standardise
from asd_agent.scoring.observe import WindowFeatures, observer
from asd_agent.scoring.scorer import BundleScorer
from asd_agent.scoring.sessions import Sessions
from asd_agent.thresholds import Method, Rule, fit_threshold
from asd_trainer.windows import ClipWindows, Progress

Float = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]
PROVISIONAL_BELOW = 10
"""A domain with fewer clips gives a location only and borrows the rest from the source."""
LEVEL_MARGIN_DB = 10.0
"""So far beyond the levels heard in calibration a window is suspect."""
BATCH = 16


@dataclass(frozen=True)
class ExpertPlan:
    """Members of one kind, ready to observe.

    Attributes:
        members: Their entries in the manifest.
        graphs: File of each graph, by its name in the bundle.
        held_out: Names of normal source clips that no member was trained on; None when nothing is trained.
        density: What is fitted to observations.
        pooling: From rows to a score.
        combination: Of members.
    """

    name: str
    members: Sequence[Member]
    density: DensitySettings
    graphs: Mapping[str, Path] = field(default_factory=dict)
    held_out: frozenset[str] | None = None
    pooling: FramePooling = field(default_factory=FramePooling)
    combination: Combination = field(default_factory=Combination)


@dataclass(frozen=True)
class ThresholdSettings:
    """What the user asks of thresholds."""

    method: Method = "quantile"
    false_alarms_per_day: float = 1.0
    rule: Rule = field(default_factory=Rule)


class Fitter:
    """Fits one machine's scorers and writes its bundle.

    Args:
        machine: Machine type.
        plans: Experts.
        arrays: Mask banks, by their keys in scorers.npz.
        thresholds: What to ask of thresholds.
        combination: Of experts.
        seed: Of everything random.
        progress: Told of each observed clip.
    """

    def __init__(
        self,
        machine: str,
        plans: Sequence[ExpertPlan],
        arrays: Arrays,
        thresholds: ThresholdSettings,
        combination: Combination | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self._machine, self._plans, self._seed = machine, plans, seed
        self._thresholds, self._combination = thresholds, combination or Combination()
        self._arrays: Arrays = dict(arrays)
        self._conditions: list[Condition] = []
        self._golden: list[tuple[str, DomainName, npt.NDArray[np.int16]]] = []
        self._sessions = Sessions(threads=2)
        self._progress = progress

    def add_section(self, section: str, source: ClipWindows, target: ClipWindows | None) -> None:
        """Fit a section's source domain and, where it has clips, its target domain.

        Raises:
            DataError: The source has fewer than two recordings that no member was trained on.
        """
        names = self._common(section, source)
        fitted: dict[str, list[Calibrated]] = {}
        for plan in self._plans:
            fitted[plan.name] = [self._source(plan, m, section, source, names) for m in plan.members]
        self._finish(section, "source", fitted, source, provisional=False)
        if target is None or len(target) == 0:
            return
        provisional = len(target) < PROVISIONAL_BELOW
        moved: dict[str, list[Calibrated]] = {}
        for plan in self._plans:
            moved[plan.name] = [
                self._target(plan, m, section, target, fitted[plan.name][i], provisional)
                for i, m in enumerate(plan.members)
            ]
        self._finish(section, "target", moved, target, provisional=provisional)

    def write(self, path: Path, name: str, provenance: Provenance, metrics: dict[str, Any] | None = None) -> Bundle:
        """Write the bundle with its golden windows and check it."""
        members = [m for plan in self._plans for m in plan.members]
        graphs = {k: v for plan in self._plans for k, v in plan.graphs.items()}
        manifest = Manifest(
            name=name,
            machine=self._machine,
            provenance=provenance,
            members=members,
            conditions=self._conditions,
            metrics=metrics or {},
            files={g: file_digest(p) for g, p in graphs.items()},
        )
        golden = self._score_golden(manifest, graphs)
        return write_bundle(path, manifest, {SCORERS: self._arrays, GOLDEN: golden}, graphs)

    def _common(self, section: str, source: ClipWindows) -> list[str]:
        """Clips whose scores may enter statistics of combined experts."""
        names = {c.path.name for c in source.clips}
        for plan in self._plans:
            if plan.held_out is not None:
                names &= plan.held_out
        if not names:
            raise DataError(
                f"section {section} of {self._machine} has no normal clip left to set thresholds by",
                "Give more normal recordings of it.",
            )
        return [c.path.name for c in source.clips if c.path.name in names]

    def _observe(self, plan: ExpertPlan, member: Member, section: str, windows: ClipWindows) -> npt.NDArray[np.float32]:
        digests = {g: file_digest(p) for g, p in plan.graphs.items()}
        folder = Path("/")
        local = member
        if member.graph is not None:
            where = plan.graphs[member.graph]
            folder, local = where.parent, member.model_copy(update={"graph": where.name})
            digests[where.name] = digests[member.graph]
        observe = observer(local, folder, digests, self._arrays, self._sessions)
        parts = []
        for start in range(0, len(windows), BATCH):
            batch = windows.floats(slice(start, start + BATCH))
            parts.append(observe(WindowFeatures(batch), section))
            if self._progress:
                done = min(start + BATCH, len(windows))
                self._progress(f"{member.id}, section {section}: clips observed", done, len(windows))
        return np.concatenate(parts)

    def _source(
        self, plan: ExpertPlan, member: Member, section: str, source: ClipWindows, names: list[str]
    ) -> Calibrated:
        usable = [i for i, c in enumerate(source.clips) if plan.held_out is None or c.path.name in plan.held_out]
        chosen = source.only(usable)
        x = self._observe(plan, member, section, chosen)
        fitted = calibrate_source(
            DomainData(x, [c.recording for c in chosen.clips]), plan.density, plan.pooling, self._seed
        )
        place = {c.path.name: i for i, c in enumerate(chosen.clips)}
        return Calibrated(fitted.scorer, fitted.reference[[place[n] for n in names]], fitted.standardisation)

    def _target(
        self,
        plan: ExpertPlan,
        member: Member,
        section: str,
        target: ClipWindows,
        source: Calibrated,
        provisional: bool,
    ) -> Calibrated:
        data = DomainData(self._observe(plan, member, section, target), [c.recording for c in target.clips])
        if provisional:
            return calibrate_target(data, source, plan.density, plan.pooling)
        return calibrate_source(data, plan.density, plan.pooling, self._seed)

    def _finish(
        self,
        section: str,
        domain: DomainName,
        fitted: dict[str, list[Calibrated]],
        windows: ClipWindows,
        *,
        provisional: bool,
    ) -> None:
        prefix = f"{section}/{domain}"
        experts: list[ExpertUse] = []
        combined: list[Float] = []
        for plan in self._plans:
            uses = [
                self._use(plan, m, f"{prefix}/{m.id}", c) for m, c in zip(plan.members, fitted[plan.name], strict=True)
            ]
            raw = [c.reference for c in fitted[plan.name]]
            scores = combine(np.stack(raw), [u.standardisation for u in uses], raw, plan.combination)
            combined.append(scores)
            key = f"{prefix}/{plan.name}/reference"
            self._arrays[key] = np.sort(scores)
            experts.append(
                ExpertUse(
                    name=plan.name,
                    members=uses,
                    combination=plan.combination,
                    standardisation=standardisation(scores),
                    reference=key,
                )
            )
        total = combine(np.stack(combined), [e.standardisation for e in experts], combined, self._combination)
        overall = standardisation(total)
        reference = np.sort(standardise(total, overall))
        self._arrays[f"{prefix}/reference"] = reference
        levels = [level_dbfs(w) for w in windows.floats()]
        asked = self._thresholds
        self._conditions.append(
            Condition(
                section=section,
                domain=domain,
                experts=experts,
                combination=self._combination,
                standardisation=overall,
                reference=f"{prefix}/reference",
                clips=len(windows),
                provisional=provisional,
                level_dbfs=(min(levels) - LEVEL_MARGIN_DB, max(levels) + LEVEL_MARGIN_DB),
                threshold=fit_threshold(
                    reference, alarms_per_day=asked.false_alarms_per_day, rule=asked.rule, method=asked.method
                ),
            )
        )
        self._golden.append((section, domain, windows.samples[0]))
        if len(self._golden) == 1:
            self._golden.append((section, domain, _disturbed(windows.samples[0], self._seed)))

    def _use(self, plan: ExpertPlan, member: Member, prefix: str, fitted: Calibrated) -> MemberUse:
        for key, array in fitted.scorer.items():
            self._arrays[f"{prefix}/{key}"] = array
        self._arrays[f"{prefix}/reference"] = np.sort(fitted.reference)
        return MemberUse(
            member=member.id,
            density=plan.density.density,
            scorer=prefix,
            pooling=plan.pooling,
            standardisation=fitted.standardisation,
            reference=f"{prefix}/reference",
        )

    def _score_golden(self, manifest: Manifest, graphs: dict[str, Path]) -> Arrays:
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for name, source in graphs.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, Path(folder) / name)
            scorer = BundleScorer(Bundle(Path(folder), manifest, self._arrays, ""), self._sessions)
            windows = np.stack([w for _, _, w in self._golden])
            sections, domains = [s for s, _, _ in self._golden], [d for _, d, _ in self._golden]
            got = [
                scorer.score(w[None].astype(np.float32) / 32768.0, s, d)[0]
                for w, s, d in zip(windows, sections, domains, strict=True)
            ]
        members = {f"member/{m.id}": np.array([g.members.get(m.id, np.nan) for g in got]) for m in manifest.members}
        return {
            "windows": windows,
            "sections": np.array(sections),
            "domains": np.array(domains),
            "scores": np.array([g.score for g in got]),
        } | members


def _disturbed(window: npt.NDArray[np.int16], seed: int) -> npt.NDArray[np.int16]:
    """The window with bursts of noise in it, so that the golden scores reach beyond the normal ones."""
    rng = np.random.default_rng(seed)
    x = window.astype(np.float64)
    noise = rng.normal(size=x.size) * x.std()
    bursts = (np.arange(x.size) % 8000) < 800
    return np.asarray(np.clip(np.round(x + noise * bursts), -32768, 32767), dtype=np.int16)
