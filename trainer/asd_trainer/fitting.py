"""From members to a bundle: observations of held-out normals, scorers, standardisation, thresholds, golden windows.

A scorer is fitted to clips that its member has not learnt. Where folds rotate over the members, each has other
clips, and a clip's reference score is combined from the members that have not learnt it.

Everything that forms a score is the agent's own code; nothing here looks at a test clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

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
from asd_agent.scoring.combine import combine, combine_available, standardise
from asd_agent.scoring.observe import WindowFeatures, observer
from asd_agent.scoring.scorer import BundleScorer
from asd_agent.scoring.sessions import Sessions
from asd_agent.thresholds import Method, Rule, fit_threshold
from asd_trainer.windows import ClipWindows, Progress

Float = npt.NDArray[np.float64]
Fitted = dict[tuple[str, DomainName], Calibrated]
"""By section and domain; reference scores in the order of the section's clips, NaN for those that were learnt."""
Arrays = dict[str, npt.NDArray[Any]]
PROVISIONAL_BELOW = 10
"""A domain with fewer clips gives a location only and borrows the rest from the source."""
LEAST_RECORDINGS = 2
"""That a scorer is fitted to and judged by."""
LEVEL_MARGIN_DB = 10.0
"""So far beyond the levels heard in calibration a window is suspect."""
BATCH = 16


@dataclass(frozen=True)
class ExpertPlan:
    """Members of one kind, ready to observe.

    Attributes:
        members: Their entries in the manifest.
        graphs: File of each graph, by its name in the bundle.
        held_out: Names of the normal source clips that each member was not trained on; None when nothing is trained.
        knows_target: Whether members were trained on the target's clips, so that these tell nothing.
        scorers: One for each section and domain, or one for the machine.
        density: What is fitted to observations.
        pooling: From rows to a score.
        combination: Of members.
        chosen: Ids of the members that are used in each domain; all where a domain is not in it.
    """

    name: str
    members: Sequence[Member]
    density: DensitySettings
    graphs: Mapping[str, Path] = field(default_factory=dict)
    held_out: Sequence[frozenset[str]] | None = None
    knows_target: bool = False
    scorers: Literal["condition", "machine"] = "condition"
    pooling: FramePooling = field(default_factory=FramePooling)
    combination: Combination = field(default_factory=Combination)
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def unlearnt(self, member: int, clips: ClipWindows) -> list[int]:
        """Rows of the source clips that a member was not trained on."""
        if self.held_out is None:
            return list(range(len(clips)))
        return [i for i, c in enumerate(clips.clips) if c.path.name in self.held_out[member]]

    def uses(self, member_id: str, domain: str) -> bool:
        """Whether a member is used in a domain."""
        return member_id in self.chosen.get(domain, (member_id,))


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

    def fit(self, source: Mapping[str, ClipWindows], target: Mapping[str, ClipWindows]) -> None:
        """Fit every section's source domain and, where it has clips, its target domain.

        Args:
            source: Normal source clips of each section.
            target: Normal target clips of the sections that have any.

        Raises:
            DataError: A section's source has fewer than two recordings that a member was not trained on.
        """
        present = {s: t for s, t in target.items() if len(t)}
        fitted = {
            plan.name: [
                (self._over_machine if plan.scorers == "machine" else self._by_condition)(plan, number, source, present)
                for number in range(len(plan.members))
            ]
            for plan in self._plans
        }
        for section in sorted(source):
            for name, windows in (("source", source[section]), ("target", present.get(section))):
                if windows is not None:
                    domain = _domain(name)
                    here = {plan: [m[section, domain] for m in members] for plan, members in fitted.items()}
                    provisional = domain == "target" and len(windows) < PROVISIONAL_BELOW
                    self._finish(section, domain, here, windows, provisional=provisional)

    def write(self, path: Path, name: str, provenance: Provenance, metrics: dict[str, Any] | None = None) -> Bundle:
        """Write the bundle with its golden windows and check it."""
        used = {u.member for c in self._conditions for e in c.experts for u in e.members}
        members = [m for plan in self._plans for m in plan.members if m.id in used]
        kept = {m.graph for m in members}
        graphs = {k: v for plan in self._plans for k, v in plan.graphs.items() if k in kept}
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

    def _by_condition(
        self, plan: ExpertPlan, number: int, source: Mapping[str, ClipWindows], target: Mapping[str, ClipWindows]
    ) -> Fitted:
        """One member's scorer for each section and domain (section 3.1 of the paper)."""
        found: Fitted = {}
        for section, windows in source.items():
            rows = plan.unlearnt(number, windows)
            self._check(plan, number, section, windows, rows)
            chosen = windows.only(rows)
            x = self._observe(plan, plan.members[number], section, chosen)
            fitted = calibrate_source(
                DomainData(x, [c.recording for c in chosen.clips]), plan.density, plan.pooling, self._seed
            )
            found[section, "source"] = _among(fitted, rows, len(windows))
            if section in target:
                few = target[section]
                data = DomainData(
                    self._observe(plan, plan.members[number], section, few), [c.recording for c in few.clips]
                )
                if len(few) < PROVISIONAL_BELOW:
                    moved = calibrate_target(data, found[section, "source"], plan.density, plan.pooling)
                else:
                    moved = calibrate_source(data, plan.density, plan.pooling, self._seed)
                found[section, "target"] = moved
        return found

    def _over_machine(
        self, plan: ExpertPlan, number: int, source: Mapping[str, ClipWindows], target: Mapping[str, ClipWindows]
    ) -> Fitted:
        """One scorer and one standardisation for all of a member's sections and domains.

        A target domain that has too few clips, or none that the member has not learnt, has the source's reference.
        """
        places: list[tuple[str, DomainName, list[int], int]] = []
        parts: list[npt.NDArray[np.float32]] = []
        recordings: list[str] = []
        for domain, sections in (("source", source), ("target", {} if plan.knows_target else target)):
            for section, windows in sections.items():
                rows = plan.unlearnt(number, windows) if domain == "source" else list(range(len(windows)))
                if domain == "source":
                    self._check(plan, number, section, windows, rows)
                chosen = windows.only(rows)
                parts.append(self._observe(plan, plan.members[number], section, chosen))
                recordings += [f"{section}/{domain}/{c.recording}" for c in chosen.clips]
                places.append((section, _domain(domain), rows, len(windows)))
        data = DomainData(np.concatenate(parts), recordings)
        fitted = calibrate_source(data, plan.density, plan.pooling, self._seed)
        found: Fitted = {}
        start = 0
        for section, place, rows, count in places:
            mine = replace(fitted, reference=fitted.reference[start : start + len(rows)])
            found[section, place] = _among(mine, rows, count)
            start += len(rows)
        for section, windows in target.items():
            if plan.knows_target or len(windows) < PROVISIONAL_BELOW:
                found[section, "target"] = found[section, "source"]
        return found

    def _check(self, plan: ExpertPlan, number: int, section: str, windows: ClipWindows, rows: Sequence[int]) -> None:
        recordings = {windows.clips[i].recording for i in rows}
        if len(recordings) < LEAST_RECORDINGS:
            raise DataError(
                f"section {section} of {self._machine} has {len(recordings)} normal recordings that member "
                f"{plan.members[number].id} has not learnt; its scorer needs {LEAST_RECORDINGS}",
                "Give more normal recordings of it.",
            )

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
            used = [(m, c) for m, c in zip(plan.members, fitted[plan.name], strict=True) if plan.uses(m.id, domain)]
            uses = [self._use(plan, m, f"{prefix}/{m.id}", c) for m, c in used]
            scores = combine_available(
                np.stack([c.reference for _, c in used]),
                [u.standardisation for u in uses],
                [self._arrays[u.reference] for u in uses],
                plan.combination,
            )
            combined.append(scores)
            key = f"{prefix}/{plan.name}/reference"
            self._arrays[key] = _sorted(scores)
            experts.append(
                ExpertUse(
                    name=plan.name,
                    members=uses,
                    combination=plan.combination,
                    standardisation=standardisation(_sorted(scores)),
                    reference=key,
                )
            )
        stacked = np.stack(combined)
        together = stacked[:, np.isfinite(stacked).all(axis=0)]
        if not together.size:
            raise DataError(
                f"section {section} of {self._machine} has no normal clip left to set thresholds by",
                "Give more normal recordings of it.",
            )
        references = [self._arrays[e.reference] for e in experts]
        total = combine(together, [e.standardisation for e in experts], references, self._combination)
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
        self._arrays[f"{prefix}/reference"] = _sorted(fitted.reference)
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


def _domain(name: str) -> DomainName:
    return "source" if name == "source" else "target"


def _among(fitted: Calibrated, rows: Sequence[int], clips: int) -> Calibrated:
    """The same with reference scores in the order of all clips, NaN for those that were learnt."""
    reference = np.full(clips, np.nan)
    reference[list(rows)] = fitted.reference
    return replace(fitted, reference=reference)


def _sorted(scores: Float) -> Float:
    return np.sort(scores[np.isfinite(scores)])


def _disturbed(window: npt.NDArray[np.int16], seed: int) -> npt.NDArray[np.int16]:
    """The window with bursts of noise in it, so that the golden scores reach beyond the normal ones."""
    rng = np.random.default_rng(seed)
    x = window.astype(np.float64)
    noise = rng.normal(size=x.size) * x.std()
    bursts = (np.arange(x.size) % 8000) < 800
    return np.asarray(np.clip(np.round(x + noise * bursts), -32768, 32767), dtype=np.int16)
