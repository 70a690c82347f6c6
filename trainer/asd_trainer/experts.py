"""From a recipe's expert to members that can observe: networks are trained and exported, detectors just described."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import MaskBank, Member
from asd_agent.errors import DataError
from asd_agent.features import FeatureSpec, log_mel
from asd_trainer.augment import mask_bank
from asd_trainer.fitting import ExpertPlan
from asd_trainer.onnx_export import export_autoencoder
from asd_trainer.recipe import AutoencoderExpert, HeldOut, PlainExpert, Recipe
from asd_trainer.training.autoencoder import train_autoencoder
from asd_trainer.windows import ClipWindows, Progress

MANY_CLIPS = 100
"""From so many clips on the held-out fraction serves; below, one fold by recording."""
LEAST_HELD_OUT = 2


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

    def section_values(self) -> dict[str, float]:
        """The scaled ID of each section, 0 up to but not including 1; an integer's error would drown the rest."""
        return {s: i / len(self.sections) for i, s in enumerate(self.sections)}


def held_out_clips(windows: ClipWindows, settings: HeldOut, seed: int) -> frozenset[str]:
    """Names of the clips that no network is trained on, whole recordings at a time.

    Raises:
        DataError: There are not recordings enough to leave some for training and some for scoring.
    """
    recordings = sorted({c.recording for c in windows.clips})
    share = settings.fraction if len(windows) >= MANY_CLIPS else 1.0 / settings.folds
    count = max(LEAST_HELD_OUT, math.ceil(share * len(recordings)))
    if len(recordings) < 2 * LEAST_HELD_OUT:
        where = windows.clips[0].path.parent
        raise DataError(
            f"{where}: {len(recordings)} recordings of one section are too few to train a network on some and to set "
            "thresholds by others",
            f"Give at least {2 * LEAST_HELD_OUT} normal recordings of each section.",
        )
    order = np.random.default_rng([seed, len(recordings)]).permutation(len(recordings))
    chosen = {recordings[i] for i in order[: min(count, len(recordings) - LEAST_HELD_OUT)]}
    return frozenset(c.path.name for c in windows.clips if c.recording in chosen)


def plain_plan(expert: PlainExpert, recipe: Recipe) -> ExpertPlan:
    """A detector that needs no training."""
    features = recipe.features_of(expert) if expert.kind == "mel_statistics" else None
    member = Member(id=expert.kind, kind=expert.kind, features=features)
    return ExpertPlan(
        name=expert.kind,
        members=[member],
        density=expert.density,
        pooling=expert.frame_pooling,
        combination=expert.combination,
    )


def autoencoder_plan(
    expert: AutoencoderExpert,
    recipe: Recipe,
    data: MachineData,
    out: Path,
    seed: int,
    progress: Progress | None = None,
) -> tuple[ExpertPlan, dict[str, npt.NDArray[np.uint8]]]:
    """Train and export every member of an autoencoder expert, going on where an earlier call was interrupted.

    Target clips are kept out of training: with three of them, each is worth more for the scorer.

    Returns:
        The plan, and the mask bank by its key.
    """
    held_out = frozenset[str]().union(*(held_out_clips(w, recipe.held_out, seed) for w in data.source.values()))
    spec = recipe.features_of(expert)
    values = data.section_values()
    names, sections, rows = [], [], []
    for section in data.sections:
        windows = data.source[section]
        for index, clip in enumerate(windows.clips):
            if clip.path.name not in held_out:
                names.append(clip.path.name)
                sections.append(values[section])
                rows.append(log_mel(windows.floats(index), spec))
                if progress:
                    progress(f"section {section}: log-mels", index + 1, len(windows))
    features = np.stack(rows)
    replicas = expert.replicas.count
    frames = spec.frames(round(10 * spec.sample_rate))
    bank = mask_bank(replicas * expert.members, frames, spec.n_mels, expert.masks, seed)
    members, graphs = [], {}
    for number in range(expert.members):
        member_id = f"ae-{number}"
        folder = out / member_id
        checkpoint = train_autoencoder(
            features,
            np.array(sections, np.float32),
            names,
            recipe,
            folder,
            seed=seed * 1000 + number,
            progress=_steps(progress, member_id),
            expert=expert,
        )
        graph = folder / "model.onnx"
        if not graph.exists():
            export_autoencoder(checkpoint, graph)
        graphs[f"members/{member_id}.onnx"] = graph
        members.append(_member(member_id, spec, values, expert, number))
    plan = ExpertPlan(
        name="autoencoder",
        members=members,
        density=expert.density,
        graphs=graphs,
        held_out=held_out,
        pooling=expert.frame_pooling,
        combination=expert.combination,
    )
    return plan, {"masks": bank}


def _member(
    member_id: str, spec: FeatureSpec, values: dict[str, float], expert: AutoencoderExpert, number: int
) -> Member:
    replicas = expert.replicas
    masks = MaskBank(array="masks", first=number * replicas.count, count=replicas.count, pooling=replicas.pooling)
    return Member(
        id=member_id,
        kind="autoencoder",
        features=spec,
        graph=f"members/{member_id}.onnx",
        sections=values,
        masks=masks,
    )


def _steps(progress: Progress | None, member_id: str) -> Callable[[int, int, float, float], None] | None:
    """A training loop's progress told as a stage of the whole."""
    if progress is None:
        return None

    def told(step: int, steps: int, loss: float, seconds_left: float) -> None:
        progress(f"{member_id}: steps, loss {loss:.3f}, {seconds_left:.0f} s left", step, steps)

    return told
