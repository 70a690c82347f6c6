"""Scorers of one member: densities fitted to what it infers from clips that it has not learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.alarm.rule import Rule
from asd_agent.bundle.files import file_digest
from asd_agent.bundle.manifest import DomainName, Member
from asd_agent.calibrate import DomainData, calibrate_bank, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import PROVISIONAL_BELOW, Calibrated, borrowed, judge_of, standardisation
from asd_agent.errors import DataError
from asd_agent.inference.members import WindowFeatures, load_member
from asd_agent.inference.providers import Sessions
from asd_trainer.data.clips import ClipSet
from asd_trainer.data.split import LEAST_RECORDINGS
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.expert_plan import ExpertPlan, Place

Fitted = dict[tuple[str, DomainName], Calibrated]
"""By section and domain; reference scores in the order of the section's clips, NaN for clips that were learnt."""
Sections = Mapping[str, ClipSet]
"""Normal clips of one domain by section."""
Arrays = dict[str, npt.NDArray[Any]]
BATCH = 16
"""Clips that a member infers from at once."""
MOST_CUT = 500
"""Windows between two clips that are held in memory at once."""


class MemberScorers:
    """Fits the scorers of members.

    Args:
        machine: Machine type, for error messages.
        arrays: Arrays that members need, by their keys in scorers.npz.
        sessions: ONNX Runtime sessions, shared by all.
        seed: Seed of everything random.
        progress: Called after each batch of clips.
        rule: Rule whose hop contiguous clips are scored at.
    """

    def __init__(
        self,
        machine: str,
        arrays: Arrays,
        sessions: Sessions,
        seed: int = 0,
        progress: StageProgress | None = None,
        rule: Rule | None = None,
    ) -> None:
        self._machine, self._arrays, self._sessions = machine, arrays, sessions
        self._seed, self._progress, self._rule = seed, progress, rule or Rule()

    def fit(self, plan: ExpertPlan, number: int, source: Sections, target: Sections) -> Fitted:
        """Fit one member's scorers to every section and domain.

        Args:
            plan: Expert of the member.
            number: Number of the member.
            source: Normal source clips of each section.
            target: Normal target clips of the sections that have any.

        Raises:
            DataError: A section's source has fewer than two recordings that the member has not learnt.
        """
        place = plan.places.get(plan.members[number].id)
        if place is not None:
            return self._at_place(place, plan, number, source[place.section], target.get(place.section))
        if plan.held_out is not None and plan.density.density == "bank":
            return self._by_banks(plan, number, source, target)
        return (self._over_machine if plan.scorers == "machine" else self._by_condition)(plan, number, source, target)

    def _infer(
        self, plan: ExpertPlan, member: Member, section: str, samples: npt.NDArray[np.int16]
    ) -> npt.NDArray[np.float32]:
        """Output of a member for windows, shape (windows, samples) to (windows, rows, dimensions)."""
        digests = {g: file_digest(p) for g, p in plan.graphs.items()}
        folder, local = Path(), member
        if member.graph is not None:
            file = plan.graphs[member.graph]
            folder, local = file.parent, member.model_copy(update={"graph": file.name})
            digests[file.name] = digests[member.graph]
        infer = load_member(local, folder, digests, self._arrays, self._sessions)
        parts = []
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH].astype(np.float32) / 32768.0
            parts.append(infer(WindowFeatures(batch), [section] * len(batch)))
            if self._progress:
                done = min(start + BATCH, len(samples))
                self._progress(f"{member.id}, section {section}: clips scored", done, len(samples))
        return np.concatenate(parts)

    def _data(
        self, plan: ExpertPlan, member: Member, section: str, clips: ClipSet, rows: Sequence[int] | None = None
    ) -> DomainData:
        """Output of a member for some rows of the clips, and for the windows between two of them."""
        chosen = list(range(len(clips))) if rows is None else list(rows)
        known = clips.only(chosen)
        outputs = self._infer(plan, member, section, known.samples)
        hops = clips.hops(self._rule)
        between = hops.within(chosen)
        if not between.size:
            return DomainData(outputs, list(known.recordings))
        places = np.searchsorted(chosen, hops.begins[between])
        windows = [
            self._infer(plan, member, section, hops.cut(clips.samples, part))
            for part in np.array_split(between, -(-len(between) // MOST_CUT))
        ]
        return DomainData(outputs, list(known.recordings), np.concatenate(windows), places)

    def _at_rows(self, fitted: Calibrated, rows: Sequence[int], clips: ClipSet) -> Calibrated:
        """The same with reference scores in the order of all clips, NaN for those that were learnt."""
        reference = np.full(len(clips), np.nan)
        reference[list(rows)] = fitted.reference
        hops = clips.hops(self._rule)
        between = np.full(len(hops.begins), np.nan)
        if len(own := hops.within(rows)) == len(fitted.between):
            between[own] = fitted.between
        return replace(fitted, reference=reference, between=between)

    def _at_place(self, place: Place, plan: ExpertPlan, number: int, source: ClipSet, target: ClipSet | None) -> Fitted:
        """Scorers of a member that judges one section, perhaps only one domain of it."""
        member, rows = plan.members[number], plan.unlearnt(number, source)
        self._check(plan, number, place.section, source, rows)
        data = self._data(plan, member, place.section, source, rows)
        tuned = member.id in plan.left_out
        target_data = None if target is None or tuned else self._data(plan, member, place.section, target)
        of_target: Calibrated | None
        if plan.density.density == "bank":
            learnt = self._infer(plan, member, place.section, source.without(rows).samples)
            of_source, of_target = calibrate_bank(
                learnt, data, target_data, plan.density, plan.pooling, seed=self._seed
            )
            of_source = self._at_rows(of_source, rows, source)
            if target is not None and of_target is not None and len(target) < PROVISIONAL_BELOW:
                of_target = self._at_rows(of_target, rows, source)
        else:
            of_source = self._at_rows(calibrate_source(data, plan.density, plan.pooling, self._seed), rows, source)
            of_target = None if target_data is None else self._target(target_data, of_source, plan)
        if target is not None and tuned:
            scores = judge_of(plan.density, plan.pooling)(np.load(plan.left_out[member.id]), of_source.scorer)
            if len(target) < PROVISIONAL_BELOW:
                of_target = borrowed(of_source.scorer, scores, of_source)
            else:
                of_target = Calibrated(of_source.scorer, scores, standardisation(scores))
        found: Fitted = {(place.section, "source"): of_source}
        if of_target is not None:
            found[place.section, "target"] = of_target
        return {key: fitted for key, fitted in found.items() if key[1] in place.domains}

    def _target(self, data: DomainData, source: Calibrated, plan: ExpertPlan) -> Calibrated:
        """A target domain's scorer: moved from the source's where clips are few, else fitted to its own clips."""
        if len(data.recordings) < PROVISIONAL_BELOW:
            return calibrate_target(data, source, plan.density, plan.pooling)
        return calibrate_source(data, plan.density, plan.pooling, self._seed)

    def _by_condition(self, plan: ExpertPlan, number: int, source: Sections, target: Sections) -> Fitted:
        """One scorer for each section and domain (section 3.1 of the paper)."""
        found: Fitted = {}
        member = plan.members[number]
        for section, clips in source.items():
            rows = plan.unlearnt(number, clips)
            self._check(plan, number, section, clips, rows)
            data = self._data(plan, member, section, clips, rows)
            learnt = None
            if plan.fitted_to == "all" and len(rows) < len(clips):
                learnt = self._infer(plan, member, section, clips.without(rows).samples)
            fitted = calibrate_source(data, plan.density, plan.pooling, self._seed, learnt)
            found[section, "source"] = self._at_rows(fitted, rows, clips)
            if section in target:
                target_data = self._data(plan, member, section, target[section])
                found[section, "target"] = self._target(target_data, found[section, "source"], plan)
        return found

    def _by_banks(self, plan: ExpertPlan, number: int, source: Sections, target: Sections) -> Fitted:
        """One bank for each section, of what the member has learnt of its source and its target."""
        found: Fitted = {}
        member = plan.members[number]
        for section, clips in source.items():
            rows = plan.unlearnt(number, clips)
            self._check(plan, number, section, clips, rows)
            of_target = target.get(section)
            target_rows: list[int] = []
            learnt_target = None
            if of_target is not None:
                target_rows = plan.unlearnt(number, of_target) if plan.knows_target else list(range(len(of_target)))
                if len(target_rows) < len(of_target):
                    learnt_target = self._infer(plan, member, section, of_target.without(target_rows).samples)
            target_data = None
            learnt_source = self._infer(plan, member, section, clips.without(rows).samples)
            source_data = self._data(plan, member, section, clips, rows)
            if of_target is not None and target_rows:
                target_data = self._data(plan, member, section, of_target, target_rows)
            fitted, fitted_target = calibrate_bank(
                learnt_source,
                source_data,
                target_data,
                plan.density,
                plan.pooling,
                learnt_target=learnt_target,
                own_domain=plan.own_domain,
                seed=self._seed,
            )
            found[section, "source"] = self._at_rows(fitted, rows, clips)
            if of_target is not None and fitted_target is not None:
                borrows = not target_rows or len(of_target) < PROVISIONAL_BELOW
                where = (rows, clips) if borrows else (target_rows, of_target)
                found[section, "target"] = self._at_rows(fitted_target, *where)
        return found

    def _over_machine(self, plan: ExpertPlan, number: int, source: Sections, target: Sections) -> Fitted:
        """One scorer and one standardisation for all of a member's sections and domains.

        A target domain that has too few clips, or none that the member has not learnt, gets the source's reference.
        """
        member = plan.members[number]
        places: list[tuple[str, DomainName, list[int], ClipSet]] = []
        parts: list[DomainData] = []
        recordings: list[str] = []
        domains: tuple[tuple[DomainName, Sections], ...] = (
            ("source", source),
            ("target", {} if plan.knows_target else target),
        )
        for domain, sections in domains:
            for section, clips in sections.items():
                rows = list(range(len(clips)))
                if domain == "source":
                    rows = plan.unlearnt(number, clips)
                    self._check(plan, number, section, clips, rows)
                parts.append(part := self._data(plan, member, section, clips, rows))
                recordings += [f"{section}/{domain}/{recording}" for recording in part.recordings]
                places.append((section, domain, rows, clips))
        fitted = calibrate_source(_joined(parts, recordings), plan.density, plan.pooling, self._seed)
        found: Fitted = {}
        start = start_between = 0
        for part, (section, domain, rows, clips) in zip(parts, places, strict=True):
            end, end_between = start + len(rows), start_between + len(part.begins)
            own = replace(
                fitted, reference=fitted.reference[start:end], between=fitted.between[start_between:end_between]
            )
            found[section, domain] = self._at_rows(own, rows, clips)
            start, start_between = end, end_between
        for section, clips in target.items():
            if plan.knows_target or len(clips) < PROVISIONAL_BELOW:
                found[section, "target"] = found[section, "source"]
        return found

    def _check(self, plan: ExpertPlan, number: int, section: str, clips: ClipSet, rows: Sequence[int]) -> None:
        recordings = {clips.recordings[row] for row in rows}
        if len(recordings) < LEAST_RECORDINGS:
            raise DataError(
                f"section {section} of {self._machine} has {len(recordings)} normal recordings that member "
                f"{plan.members[number].id} has not learnt; its scorer needs {LEAST_RECORDINGS}",
                "Give more normal recordings of it.",
            )


def domain_name(name: str) -> DomainName:
    """Return a domain as the manifest has it."""
    return "source" if name == "source" else "target"


def _joined(parts: Sequence[DomainData], recordings: Sequence[str]) -> DomainData:
    """The data of several sections and domains as those of one."""
    starts = np.cumsum([0, *(len(p.outputs) for p in parts[:-1])])
    outputs = np.concatenate([p.outputs for p in parts])
    some = [(p, start) for p, start in zip(parts, starts.tolist(), strict=True) if len(p.begins)]
    if not some:
        return DomainData(outputs, recordings)
    between = np.concatenate([p.between for p, _ in some])
    return DomainData(outputs, recordings, between, np.concatenate([p.begins + start for p, start in some]))
