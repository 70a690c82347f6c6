"""A member's scorers: what it observes of clips that it has not learnt, and the densities fitted to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.files import file_digest
from asd_agent.bundle.manifest import Combination, DomainName, FramePooling, Member
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_bank, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import PROVISIONAL_BELOW, Calibrated, borrowed, judge_of, standardisation
from asd_agent.errors import DataError
from asd_agent.inference.members import WindowFeatures, load_member
from asd_agent.inference.providers import Sessions
from asd_trainer.data.clip_windows import ClipWindows
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import LEAST_RECORDINGS
from asd_trainer.engine.progress import StageProgress

Fitted = dict[tuple[str, DomainName], Calibrated]
"""By section and domain; reference scores in the order of the section's clips, NaN for those that were learnt."""
Arrays = dict[str, npt.NDArray[Any]]
BATCH = 16


@dataclass(frozen=True)
class Place:
    """Where a member is at home, if not in all sections of its machine.

    Attributes:
        section: Its section.
        domains: The domains of it that it judges.
        of: What is one member for people, who say how many there are: the same in every section.
    """

    section: str
    domains: tuple[DomainName, ...]
    of: str


@dataclass(frozen=True)
class ExpertPlan:
    """Members of one kind, ready to observe.

    Attributes:
        members: Their entries in the manifest.
        graphs: File of each graph, by its name in the bundle.
        held_out: Names of the normal source clips that each member was not trained on; None when nothing is trained.
        knows_target: Whether members were trained on the target's clips, so that these tell nothing.
        own_domain: Whether a bank of a domain holds its own clips alone.
        scorers: One for each section and domain, or one for the machine.
        density: What is fitted to observations.
        pooling: From rows to a score.
        combination: Of members.
        chosen: Ids of the members that are used in each domain; all where a domain is not in it.
        places: Of members that know one section alone, by their ids.
        left_out: Of members that were tuned to the target: file of what their likes, tuned without a clip, observe
            of that clip, shape (target clips, rows, dimensions).
    """

    name: str
    members: Sequence[Member]
    density: DensitySettings
    graphs: Mapping[str, Path] = field(default_factory=dict)
    held_out: Sequence[frozenset[str]] | None = None
    knows_target: bool = False
    own_domain: bool = False
    scorers: Literal["condition", "machine"] = "condition"
    pooling: FramePooling = field(default_factory=FramePooling)
    combination: Combination = field(default_factory=Combination)
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    left_out: Mapping[str, Path] = field(default_factory=dict)

    def unlearnt(self, member: int, clips: ClipWindows) -> list[int]:
        """Rows of the source clips that a member was not trained on."""
        if self.held_out is None:
            return list(range(len(clips)))
        return [i for i, c in enumerate(clips.clips) if c.path.name in self.held_out[member]]

    def observes(self, member: int, clip: Clip) -> bool:
        """Whether a member observes a clip while its scorers are fitted."""
        place = self.places.get(self.members[member].id)
        if place is not None and place.section != clip.section:
            return False
        if clip.domain == "target":
            return self.members[member].id not in self.left_out
        return self.held_out is None or self.density.density == "bank" or clip.path.name in self.held_out[member]

    def unit(self, member_id: str) -> str:
        """The id under which a member is counted and left out, together with its likes in other sections."""
        place = self.places.get(member_id)
        return place.of if place is not None else member_id

    def uses(self, member_id: str, section: str, domain: str) -> bool:
        """Whether a member is used in a section and domain."""
        place = self.places.get(member_id)
        if place is not None and not (place.section == section and domain in place.domains):
            return False
        return member_id in self.chosen.get(domain, (member_id,))


class MemberScorers:
    """Fits the scorers of members.

    Args:
        machine: For error messages.
        arrays: Mask banks, by their keys in scorers.npz.
        sessions: Where ONNX Runtime sessions are kept.
        seed: Of everything random.
        progress: Told of each observed clip.
    """

    def __init__(
        self, machine: str, arrays: Arrays, sessions: Sessions, seed: int = 0, progress: StageProgress | None = None
    ) -> None:
        self._machine, self._arrays, self._sessions = machine, arrays, sessions
        self._seed, self._progress = seed, progress

    def fit(
        self, plan: ExpertPlan, number: int, source: Mapping[str, ClipWindows], target: Mapping[str, ClipWindows]
    ) -> Fitted:
        """Fit one member's scorers to every section and domain.

        Args:
            plan: The member's expert.
            number: Which member.
            source: Normal source clips of each section.
            target: Normal target clips of the sections that have any.

        Raises:
            DataError: A section's source has fewer than two recordings that the member was not trained on.
        """
        place = plan.places.get(plan.members[number].id)
        if place is not None:
            return self._at(place, plan, number, source[place.section], target.get(place.section))
        if plan.held_out is not None and plan.density.density == "bank":
            return self._by_banks(plan, number, source, target)
        return (self._over_machine if plan.scorers == "machine" else self._by_condition)(plan, number, source, target)

    def _observe(self, plan: ExpertPlan, member: Member, section: str, windows: ClipWindows) -> npt.NDArray[np.float32]:
        digests = {g: file_digest(p) for g, p in plan.graphs.items()}
        folder = Path("/")
        local = member
        if member.graph is not None:
            where = plan.graphs[member.graph]
            folder, local = where.parent, member.model_copy(update={"graph": where.name})
            digests[where.name] = digests[member.graph]
        infer = load_member(local, folder, digests, self._arrays, self._sessions)
        parts = []
        for start in range(0, len(windows), BATCH):
            batch = windows.floats(slice(start, start + BATCH))
            parts.append(infer(WindowFeatures(batch), [section] * len(batch)))
            if self._progress:
                done = min(start + BATCH, len(windows))
                self._progress(f"{member.id}, section {section}: clips observed", done, len(windows))
        return np.concatenate(parts)

    def _at(self, place: Place, plan: ExpertPlan, number: int, windows: ClipWindows, few: ClipWindows | None) -> Fitted:
        """The scorers of a member that knows one section alone, perhaps one domain of it alone."""
        member, rows = plan.members[number], plan.unlearnt(number, windows)
        self._check(plan, number, place.section, windows, rows)
        data = self._data(plan, member, place.section, windows.only(rows))
        near = None if few is None or member.id in plan.left_out else self._data(plan, member, place.section, few)
        moved: Calibrated | None
        if plan.density.density == "bank":
            known = self._observe(plan, member, place.section, _others(windows, rows))
            own, moved = calibrate_bank(known, data, near, plan.density, plan.pooling, seed=self._seed)
            own = _among(own, rows, len(windows))
            if few is not None and moved is not None and len(few) < PROVISIONAL_BELOW:
                moved = _among(moved, rows, len(windows))
        else:
            own = _among(calibrate_source(data, plan.density, plan.pooling, self._seed), rows, len(windows))
            moved = None if near is None else self._moved(near, own, plan)
        if few is not None and member.id in plan.left_out:
            scores = judge_of(plan.density, plan.pooling)(np.load(plan.left_out[member.id]), own.scorer)
            provisional = len(few) < PROVISIONAL_BELOW
            moved = borrowed(own.scorer, scores, own) if provisional else _own(own.scorer, scores)
        found: Fitted = {(place.section, "source"): own}
        if moved is not None:
            found[place.section, "target"] = moved
        return {key: fitted for key, fitted in found.items() if key[1] in place.domains}

    def _data(self, plan: ExpertPlan, member: Member, section: str, windows: ClipWindows) -> DomainData:
        return DomainData(self._observe(plan, member, section, windows), [c.recording for c in windows.clips])

    def _moved(self, data: DomainData, source: Calibrated, plan: ExpertPlan) -> Calibrated:
        """A target domain's scorer, of a few clips or of enough."""
        if len(data.recordings) < PROVISIONAL_BELOW:
            return calibrate_target(data, source, plan.density, plan.pooling)
        return calibrate_source(data, plan.density, plan.pooling, self._seed)

    def _by_condition(
        self, plan: ExpertPlan, number: int, source: Mapping[str, ClipWindows], target: Mapping[str, ClipWindows]
    ) -> Fitted:
        """One member's scorer for each section and domain (section 3.1 of the paper)."""
        found: Fitted = {}
        for section, windows in source.items():
            rows = plan.unlearnt(number, windows)
            self._check(plan, number, section, windows, rows)
            member = plan.members[number]
            data = self._data(plan, member, section, windows.only(rows))
            fitted = calibrate_source(data, plan.density, plan.pooling, self._seed)
            found[section, "source"] = _among(fitted, rows, len(windows))
            if section in target:
                near = self._data(plan, member, section, target[section])
                found[section, "target"] = self._moved(near, found[section, "source"], plan)
        return found

    def _by_banks(
        self, plan: ExpertPlan, number: int, source: Mapping[str, ClipWindows], target: Mapping[str, ClipWindows]
    ) -> Fitted:
        """One bank for each section, of what the member has learnt of its source and its target."""
        found: Fitted = {}
        member = plan.members[number]
        for section, windows in source.items():
            rows = plan.unlearnt(number, windows)
            self._check(plan, number, section, windows, rows)
            unheard, known, near = [], None, target.get(section)
            if near is not None:
                unheard = plan.unlearnt(number, near) if plan.knows_target else list(range(len(near)))
                if len(unheard) < len(near):
                    known = self._observe(plan, member, section, _others(near, unheard))
            own, moved = calibrate_bank(
                self._observe(plan, member, section, _others(windows, rows)),
                self._data(plan, member, section, windows.only(rows)),
                self._data(plan, member, section, near.only(unheard)) if near is not None and unheard else None,
                plan.density,
                plan.pooling,
                learnt_target=known,
                own_domain=plan.own_domain,
                seed=self._seed,
            )
            found[section, "source"] = _among(own, rows, len(windows))
            if near is not None and moved is not None:
                borrows = not unheard or len(near) < PROVISIONAL_BELOW
                where = (rows, len(windows)) if borrows else (unheard, len(near))
                found[section, "target"] = _among(moved, *where)
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
                places.append((section, domain_name(domain), rows, len(windows)))
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


def domain_name(name: str) -> DomainName:
    """A domain as the manifest has it."""
    return "source" if name == "source" else "target"


def _others(windows: ClipWindows, rows: Sequence[int]) -> ClipWindows:
    """The clips of all other rows."""
    return windows.only(np.setdiff1d(np.arange(len(windows)), rows))


def _own(scorer: dict[str, npt.NDArray[Any]], reference: npt.NDArray[np.float64]) -> Calibrated:
    return Calibrated(scorer, reference, standardisation(reference))


def _among(fitted: Calibrated, rows: Sequence[int], clips: int) -> Calibrated:
    """The same with reference scores in the order of all clips, NaN for those that were learnt."""
    reference = np.full(clips, np.nan)
    reference[list(rows)] = fitted.reference
    return replace(fitted, reference=reference)
