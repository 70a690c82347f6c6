"""An expert with its trained members, ready to infer: what a family hands to the fit of scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from asd_agent.bundle.manifest import Combination, DomainName, FramePooling, Member
from asd_agent.calibrate import DensitySettings
from asd_trainer.data.clips import ClipSet
from asd_trainer.data.layout import Clip


@dataclass(frozen=True)
class Place:
    """Section and domains of a member that does not judge all sections of its machine.

    Attributes:
        section: The section.
        domains: Domains of it that the member judges.
        counted_as: Id under which the member is counted for people, the same in every section.
    """

    section: str
    domains: tuple[DomainName, ...]
    counted_as: str


@dataclass(frozen=True)
class ExpertPlan:
    """Members of one expert, ready to infer.

    Attributes:
        name: Name of the expert in its recipe.
        members: Entries of the members in the manifest.
        density: Density that is fitted to what members infer.
        graphs: File of each graph, by its name in the bundle.
        arrays: Arrays that members need in scorers.npz, by their keys, such as mask banks.
        held_out: Names of the normal clips that each member has not learnt; None where nothing is trained.
        knows_target: Whether members have learnt the target's clips, whose scores are then too low for a reference.
        own_domain: Whether a domain is compared with the bank of its own clips alone.
        scorers: One scorer for each section and domain, or one for the machine.
        fitted_to: Clips that a density is fitted to.
        pooling: From rows to a score.
        combination: From the members' scores to the expert's.
        chosen: Ids of the members that are used in each domain; all where a domain is not in it.
        places: Section and domains of members that do not judge all sections, by their ids.
        left_out: For members that were tuned to the target: file of what networks tuned without a clip infer of that
            clip, shape (target clips, rows, dimensions).
    """

    name: str
    members: Sequence[Member]
    density: DensitySettings
    graphs: Mapping[str, Path] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    held_out: Sequence[frozenset[str]] | None = None
    knows_target: bool = False
    own_domain: bool = False
    scorers: Literal["condition", "machine"] = "condition"
    fitted_to: Literal["unlearnt", "all"] = "unlearnt"
    pooling: FramePooling = field(default_factory=FramePooling)
    combination: Combination = field(default_factory=Combination)
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    left_out: Mapping[str, Path] = field(default_factory=dict)

    def unlearnt(self, member: int, clips: ClipSet) -> list[int]:
        """Return the rows of the clips that a member has not learnt."""
        if self.held_out is None:
            return list(range(len(clips)))
        return [row for row, name in enumerate(clips.names) if name in self.held_out[member]]

    def infers(self, member: int, clip: Clip) -> bool:
        """Return whether a member infers from a clip while its scorers are fitted."""
        place = self.places.get(self.members[member].id)
        if place is not None and place.section != clip.section:
            return False
        if clip.domain == "target":
            return self.members[member].id not in self.left_out
        if self.held_out is None or self.density.density == "bank" or self.fitted_to == "all":
            return True
        return clip.path.name in self.held_out[member]

    def counted_as(self, member_id: str) -> str:
        """Return the id under which a member is counted, together with its counterparts in other sections."""
        place = self.places.get(member_id)
        return place.counted_as if place is not None else member_id

    def uses(self, member_id: str, section: str, domain: str) -> bool:
        """Return whether a member is used in a section and domain."""
        place = self.places.get(member_id)
        if place is not None and not (place.section == section and domain in place.domains):
            return False
        return member_id in self.chosen.get(domain, (member_id,))
