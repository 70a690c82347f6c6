"""From members to a bundle: scorers, standardisation, thresholds, golden windows.

A scorer is fitted to clips that its member has not learnt. Where folds rotate over the members, each has other clips,
and a clip's reference score is combined from the members that have not learnt it.

Everything that forms a score is the agent's own code; no test clip is read here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from asd_agent.audio.quality import level_dbfs
from asd_agent.audio.recording import operating_condition_of, session_of
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.files import file_digest
from asd_agent.bundle.manifest import Combination, Condition, DomainName, Manifest, Provenance
from asd_agent.calibrate.compose import CalibrationSound, FittedExpert, FittedMember, ThresholdSettings, compose
from asd_agent.calibrate.condition import PROVISIONAL_BELOW
from asd_agent.calibrate.golden import GoldenWindow, golden_windows, write_with_golden
from asd_agent.inference.providers import Sessions
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.fit.pruning_order import Candidate, Order, order_members
from asd_trainer.fit.scorers import Fitted, MemberScorers, Sections, domain_name
from asd_trainer.recipes.recipe import Prune

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
        self._golden: list[GoldenWindow] = []
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
        windows = golden_windows(self._golden, self._seed)
        return write_with_golden(path, manifest, self._arrays, windows, self._sessions, graphs)

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
        recordings = clips.recordings
        operating = [operating_condition_of(name) for name in clips.names]
        normal = CalibrationSound(
            len(clips), levels, provisional, hops, len(set(recordings)), session_of(recordings), operating
        )
        condition, arrays = compose(section, domain, experts, self._combination, normal, self._thresholds)
        self._arrays.update(arrays)
        self._conditions.append(condition)
        self._golden.append((section, domain, clips.samples[0]))
