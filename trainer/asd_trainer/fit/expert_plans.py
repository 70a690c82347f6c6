"""From a recipe's experts to members that can observe: their names, seeds and entries in the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import DomainName, MaskBank, Member
from asd_agent.errors import DataError
from asd_trainer.data.attribute_classes import held_out_of_domains
from asd_trainer.data.clip_windows import WINDOW_SAMPLES, ClipWindows, load_windows
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import LEAST_RECORDINGS, by_section, held_out_clips, held_out_of_machine, section_values
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.classifier.job import LEFT_OUT, SOURCE_GRAPH, TARGET_GRAPH
from asd_trainer.families.settings import (
    AnyNetwork,
    AutoencoderExpert,
    BaselineExpert,
    ClassifierExpert,
    EmbeddingExpert,
    MachineNetwork,
    NetworkExpert,
    PlainExpert,
    SectionExpert,
)
from asd_trainer.features.settings import MaskSettings
from asd_trainer.fit.scorers import ExpertPlan, Place, domain_name
from asd_trainer.recipes.recipe import Recipe

ROTATING = ("average", "median", "ranking")
"""Combinations whose reference scores may come from those members alone that have not learnt a clip: of fewer members
they spread wider, which makes thresholds careful. The maximum of fewer would be too small."""
_SHORT = {
    "autoencoder": "ae",
    "dense_autoencoder": "dense",
    "section_classifier": "sections",
    "classifier": "bc",
    "embedding": "embedding",
}
LEAST_SECTIONS = 2
"""For a network that tells them apart."""
_SEEDS = 1000
_SEEDS_AN_EXPERT = 100


@dataclass(frozen=True)
class Numbered:
    """An expert of a recipe under a name of its own.

    Attributes:
        name: Its kind, with a number from the second of a kind on.
        nth: How many of its kind come before it.
    """

    name: str
    nth: int
    expert: AnyNetwork | PlainExpert

    def member_id(self, number: int) -> str:
        """Id of one of its members: `ae-0`, and `ae2-0` in the second autoencoder expert."""
        if isinstance(self.expert, PlainExpert):
            return self.name
        return f"{_SHORT[self.expert.kind]}{self.nth + 1 if self.nth else ''}-{number}"

    def place_id(self, number: int, section: str, domain: str = "") -> str:
        """Id of what one of its members has for a section alone, and for one domain of it: `bc-0-01-target`."""
        return "-".join(part for part in (self.member_id(number), section, domain) if part)

    def fold(self, number: int) -> int:
        """Which fold of few clips a member's training leaves out."""
        return number if self.expert.combination.method in ROTATING else 0

    def member_seed(self, seed: int, number: int) -> int:
        """Seed of a member's training in a run with this seed."""
        return seed * _SEEDS + self.nth * _SEEDS_AN_EXPERT + number


def numbered(recipe: Recipe) -> list[Numbered]:
    """A recipe's experts, told apart where several are of one kind."""
    seen: Counter[str] = Counter()
    found = []
    for expert in recipe.experts:
        nth = seen[expert.kind]
        seen[expert.kind] += 1
        found.append(Numbered(f"{expert.kind}-{nth + 1}" if nth else expert.kind, nth, expert))
    return found


@dataclass(frozen=True)
class MachineData:
    """Normal training clips of one machine, by section.

    Attributes:
        source: Windows of the source domain.
        target: Windows of the target domain; a section may lack it.
    """

    machine: str
    source: Mapping[str, ClipWindows]
    target: Mapping[str, ClipWindows]

    @property
    def sections(self) -> list[str]:
        """Section ids, sorted."""
        return sorted(self.source)


def load_machine(clips: Sequence[Clip], machine: str, progress: StageProgress | None = None) -> MachineData:
    """Read a machine's training clips.

    Raises:
        AudioError: A clip cannot be read.
        DataError: A clip is shorter than a window.
    """
    source, target = by_section(clips, "source"), by_section(clips, "target")
    return MachineData(
        machine,
        {section: load_windows(chosen, progress) for section, chosen in source.items()},
        {section: load_windows(chosen, progress) for section, chosen in target.items()},
    )


def check_permits(recipe: Recipe, machine: str, clips: Sequence[Clip]) -> None:
    """See that a machine's normal training clips permit what a recipe wants, from their names alone.

    Raises:
        DataError: There are none, a section has target clips alone, or recordings too few.
    """
    source = by_section(clips, "source")
    for section in sorted(set(by_section(clips, "target")) - set(source)):
        raise DataError(
            f"section {section} of {machine} has target clips but no source clips for training",
            "Name the clips that there are most of 'source'.",
        )
    if not source:
        raise DataError(f"machine {machine} has no normal clips for training", "See `asd-trainer inspect`.")
    if any(isinstance(e, SectionExpert) for e in recipe.experts) and len(source) < LEAST_SECTIONS:
        raise DataError(
            f"machine {machine} has one section, and recipe {recipe.name} learns to tell sections apart",
            "Use a recipe without `kind: section_classifier`.",
        )
    if any(isinstance(e, EmbeddingExpert) for e in recipe.experts):
        held_out_of_domains(clips, recipe.held_out, 0)
    networks = any(isinstance(e, NetworkExpert) for e in recipe.experts)
    for chosen in source.values():
        if networks:
            held_out_clips(chosen, recipe.held_out, 0)
            continue
        recordings = {c.recording for c in chosen}
        if len(recordings) < LEAST_RECORDINGS:
            raise DataError(
                f"{chosen[0].path.parent}: {len(chosen)} normal clips of {len(recordings)} recording of section "
                f"{chosen[0].section} cannot be told apart into fitting and judging",
                f"Give at least {LEAST_RECORDINGS} normal recordings of each section.",
            )


def plain_plan(one: Numbered, expert: PlainExpert, recipe: Recipe) -> ExpertPlan:
    """A detector that needs no training."""
    features = recipe.features_of(expert) if expert.kind == "mel_statistics" else None
    member = Member(id=one.member_id(0), kind=expert.kind, features=features)
    return ExpertPlan(
        name=one.name,
        members=[member],
        density=expert.density,
        scorers=expert.scorers,
        pooling=expert.frame_pooling,
        combination=expert.combination,
    )


def classifier_plan(
    one: Numbered,
    expert: ClassifierExpert,
    recipe: Recipe,
    clips: Sequence[Clip],
    jobs: Sequence[Path],
    seed: int,
    chosen: Mapping[str, Sequence[int]] | None = None,
) -> ExpertPlan:
    """A classifier expert with its trained networks, one or two for each member and section.

    Args:
        one: Its name and number.
        expert: Its settings.
        recipe: Where they stand.
        clips: The machine's normal training clips.
        jobs: Folders of `asd_trainer.families.classifier.job`, section by section for each member.
        seed: Of the run.
        chosen: Numbers of the members that are used in each domain; all where it is not given.
    """
    source, target = by_section(clips, "source"), by_section(clips, "target")
    members, places, files, left_out, held_out = [], {}, {}, {}, []
    used: dict[str, list[str]] = {}
    pairs = [(number, section) for number in range(expert.members) for section in source]
    for (number, section), folder in zip(pairs, jobs, strict=True):
        spec = recipe.features_of(expert.member(number, recipe.features))
        tuned = (folder / TARGET_GRAPH).exists()
        domains = {"source": SOURCE_GRAPH} | ({"target": TARGET_GRAPH} if tuned else {})
        for domain, graph in domains.items():
            member = one.place_id(number, section, domain)
            name = f"members/{member}.onnx"
            files[name] = folder / graph
            members.append(Member(id=member, kind="classifier", features=spec, graph=name))
            held_out.append(held_out_of_machine(clips, recipe.held_out, seed, one.fold(number)))
            untuned = domain == "source" and not tuned and section in target
            judged_domains: tuple[DomainName, ...] = ("source", "target") if untuned else (domain_name(domain),)
            places[member] = Place(section, judged_domains, one.member_id(number))
            if domain == "target":
                left_out[member] = folder / LEFT_OUT
            for judged, numbers in (chosen or {}).items():
                if number in numbers:
                    used.setdefault(judged, []).append(member)
    return ExpertPlan(
        name=one.name,
        members=members,
        density=expert.density,
        graphs=files,
        held_out=held_out,
        pooling=expert.frame_pooling,
        combination=expert.combination,
        chosen=used,
        places=places,
        left_out=left_out,
    )


def embedding_plan(
    one: Numbered,
    expert: EmbeddingExpert,
    recipe: Recipe,
    clips: Sequence[Clip],
    graphs: Sequence[Path],
    seed: int,
    chosen: Mapping[str, Sequence[str]] | None = None,
) -> ExpertPlan:
    """An embedding expert with its trained members; the arguments are those of `network_plan`."""
    files = {f"members/{one.member_id(number)}.onnx": graph for number, graph in enumerate(graphs)}
    members = [
        Member(id=one.member_id(number), kind="embedding", inputs=dict(expert.network.inputs), graph=name)
        for number, name in enumerate(files)
    ]
    return ExpertPlan(
        name=one.name,
        members=members,
        density=expert.density,
        graphs=files,
        held_out=[held_out_of_domains(clips, recipe.held_out, seed, one.fold(n)) for n in range(len(members))],
        knows_target=True,
        own_domain=expert.domains == "own",
        pooling=expert.frame_pooling,
        combination=expert.combination,
        chosen=chosen or {},
    )


def network_plan(
    one: Numbered,
    expert: MachineNetwork,
    recipe: Recipe,
    clips: Sequence[Clip],
    graphs: Sequence[Path],
    seed: int,
    chosen: Mapping[str, Sequence[str]] | None = None,
) -> tuple[ExpertPlan, dict[str, npt.NDArray[np.uint8]]]:
    """An expert with its trained members.

    Args:
        one: Its name and number.
        expert: Its settings.
        recipe: Where they stand.
        clips: The machine's normal training clips.
        graphs: An ONNX file for each member.
        seed: Of the run.
        chosen: Ids of the members that are used in each domain; all where it is not given.

    Returns:
        The plan, and the mask banks by their keys.
    """
    sections = list(by_section(clips, "source"))
    values = section_values(sections)
    if isinstance(expert, SectionExpert):
        values = {section: float(place) for place, section in enumerate(sections)}
    members, files = [], {}
    wanted: dict[tuple[int, int, MaskSettings], list[int]] = {}
    for number, graph in enumerate(graphs):
        name = f"members/{one.member_id(number)}.onnx"
        files[name] = graph
        settings = expert.member(number, recipe.features)
        spec, masks = recipe.features_of(settings), None
        if isinstance(settings, AutoencoderExpert) and settings.replicas.masked:
            replicas = settings.replicas
            bank = (spec.frames(WINDOW_SAMPLES), spec.n_mels, settings.masks)
            here = wanted.setdefault(bank, [])
            key = f"masks-{one.nth}-{list(wanted).index(bank)}"
            masks = MaskBank(
                array=key,
                first=len(here) * replicas.count,
                count=replicas.count,
                pooling=replicas.pooling,
                cells=replicas.cells,
            )
            here.append(number)
        members.append(
            Member(id=one.member_id(number), kind=expert.kind, features=spec, graph=name, sections=values, masks=masks)
        )
    plan = ExpertPlan(
        name=one.name,
        members=members,
        density=expert.density,
        graphs=files,
        held_out=[held_out_of_machine(clips, recipe.held_out, seed, one.fold(n)) for n in range(len(members))],
        knows_target=isinstance(expert, BaselineExpert),
        scorers=expert.scorers,
        pooling=expert.frame_pooling,
        combination=expert.combination,
        chosen=chosen or {},
    )
    return plan, _banks(one, expert, wanted, seed)


def _banks(
    one: Numbered, expert: MachineNetwork, wanted: Mapping[tuple[int, int, MaskSettings], Sequence[int]], seed: int
) -> dict[str, npt.NDArray[np.uint8]]:
    """A mask bank for each shape of log-mels; a member's masks do not depend on how many others there are."""
    if not isinstance(expert, AutoencoderExpert):
        return {}
    from asd_trainer.features.spec_augment import mask_bank

    return {
        f"masks-{one.nth}-{place}": np.concatenate(
            [mask_bank(expert.replicas.count, *bank, one.member_seed(seed, number)) for number in numbers]
        )
        for place, (bank, numbers) in enumerate(wanted.items())
    }
