"""From members to a bundle: scorers, standardisation, thresholds, golden windows.

A scorer is fitted to clips that its member has not learnt. Where folds rotate over the members, each has other clips,
and a clip's reference score is combined from the members that have not learnt it.

Everything that forms a score is the agent's own code; no test clip is read here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.audio.quality import level_dbfs
from asd_agent.bundle.bundle import Bundle, write_bundle
from asd_agent.bundle.files import GOLDEN, SCORERS, file_digest
from asd_agent.bundle.manifest import Combination, Condition, DomainName, Manifest, Provenance
from asd_agent.calibrate.compose import CalibrationSound, FittedExpert, FittedMember, ThresholdSettings, compose
from asd_agent.calibrate.condition import PROVISIONAL_BELOW
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.fit.pruning_order import Candidate, Order, order_members
from asd_trainer.fit.scorers import Fitted, MemberScorers, Sections, domain_name
from asd_trainer.recipes.recipe import Prune

Float = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]


class Fitter:
    """Fits one machine's scorers and writes its bundle.

    Args:
        machine: Machine type.
        plans: Experts with their members.
        thresholds: Wanted thresholds.
        combination: From the experts' scores to one.
        only: Name of the only expert that judges a domain; all experts where a domain is not in it.
        seed: Seed of everything random.
        progress: Called after each batch of clips that a member has scored.
        prune: Number of members that are kept; all where it is not given.

    Attributes:
        order: Order in which members are kept, where some are pruned.
    """

    def __init__(
        self,
        machine: str,
        plans: Sequence[ExpertPlan],
        thresholds: ThresholdSettings,
        combination: Combination | None = None,
        only: Mapping[str, str] | None = None,
        seed: int = 0,
        progress: StageProgress | None = None,
        prune: Prune | None = None,
    ) -> None:
        self._machine, self._plans, self._only, self._seed = machine, plans, only or {}, seed
        self._prune = prune
        self._thresholds, self._combination = thresholds, combination or Combination()
        self._arrays: Arrays = {key: array for plan in plans for key, array in plan.arrays.items()}
        self.order: Order | None = None
        self._conditions: list[Condition] = []
        self._golden: list[tuple[str, DomainName, npt.NDArray[np.int16]]] = []
        self._sessions = Sessions(threads=2)
        self._scorers = MemberScorers(machine, self._arrays, self._sessions, seed, progress, thresholds.rule)

    def fit(self, source: Sections, target: Sections) -> None:
        """Fit every section's source domain and, where it has clips, its target domain.

        Args:
            source: Normal source clips of each section.
            target: Normal target clips of the sections that have any.

        Raises:
            DataError: A section's source has fewer than two recordings that a member has not learnt.
        """
        present = {s: t for s, t in target.items() if len(t)}
        fitted = {
            plan.name: [self._scorers.fit(plan, number, source, present) for number in range(len(plan.members))]
            for plan in self._plans
        }
        conditions = [
            (section, domain_name(name), clips, name == "target" and len(clips) < PROVISIONAL_BELOW)
            for section in sorted(source)
            for name, clips in (("source", source[section]), ("target", present.get(section)))
            if clips is not None
        ]
        kept: Collection[str] | None = None
        if self._prune is not None:
            # A provisional target has its reference scores from the source: it would repeat the source's order.
            own = [(section, domain) for section, domain, _, provisional in conditions if not provisional]
            self.order = order_members([self._candidate(*place, fitted) for place in own], self._combination)
            kept = self.order.kept(self._prune)
        for section, domain, clips, provisional in conditions:
            experts = self._experts(section, domain, fitted, kept)
            self._finish(section, domain, experts, clips, provisional=provisional)

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

    def _candidate(self, section: str, domain: DomainName, fitted: Mapping[str, Sequence[Fitted]]) -> Candidate:
        experts = self._experts(section, domain, fitted)
        plans = {plan.name: plan for plan in self._plans}
        return Candidate(experts, [[plans[e.name].counted_as(m.member) for m in e.members] for e in experts])

    def _experts(
        self,
        section: str,
        domain: DomainName,
        fitted: Mapping[str, Sequence[Fitted]],
        kept: Collection[str] | None = None,
    ) -> list[FittedExpert]:
        """The experts of a section and domain with those of their members that are kept."""
        found = []
        for plan in self._plans:
            if self._only.get(domain, plan.name) != plan.name:
                continue
            members = [
                FittedMember(m.id, plan.density, plan.pooling, calibrated)
                for m, of in zip(plan.members, fitted[plan.name], strict=True)
                if (calibrated := of.get((section, domain))) is not None
                and plan.uses(m.id, section, domain)
                and (kept is None or plan.counted_as(m.id) in kept)
            ]
            if members or kept is None:
                found.append(FittedExpert(plan.name, members, plan.combination))
        return found

    def _finish(
        self,
        section: str,
        domain: DomainName,
        experts: Sequence[FittedExpert],
        clips: ClipSet,
        *,
        provisional: bool,
    ) -> None:
        levels = [level_dbfs(clips.floats(row)) for row in range(len(clips))]
        hops = None if provisional else clips.hops(self._thresholds.rule)
        normal = CalibrationSound(len(clips), levels, provisional, hops, len(set(clips.recordings)))
        condition, arrays = compose(section, domain, experts, self._combination, normal, self._thresholds)
        self._arrays.update(arrays)
        self._conditions.append(condition)
        self._golden.append((section, domain, clips.samples[0]))
        if len(self._golden) == 1:
            self._golden.append((section, domain, _disturbed(clips.samples[0], self._seed)))

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
