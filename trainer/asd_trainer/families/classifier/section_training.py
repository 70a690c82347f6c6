"""The training of one section: its network, the tuning to the target domain, and their graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import ClipSet, load_clips
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.base import GRAPH, HIDDEN_STAGE, MemberTraining
from asd_trainer.families.classifier.family import LEFT_OUT, SOUNDS, TARGET_GRAPH
from asd_trainer.families.classifier.objective import infer
from asd_trainer.families.classifier.pseudo_anomalies import gather
from asd_trainer.families.classifier.settings import ClassifierExpert
from asd_trainer.families.classifier.training import load_classifier, train_classifier, tune_classifier


def train_section(training: MemberTraining[ClassifierExpert], section: str) -> dict[str, Any]:
    """Train one section's classifier, tune it to the section's target clips, and export both.

    Args:
        training: Settings and clips; `more[SOUNDS]` is the folder of sounds where the settings want one.
        section: The section.

    Raises:
        DataError: The clips do not permit it.
        ConfigError: The folder of pseudo-anomalies is not there, or there is no such backbone.
        DivergedError: A training diverged.
        ExportError: An exported graph computes something else.
    """
    split, expert, folder = training.split, training.expert, training.folder
    own = split.training(training.machine)
    held_out = split.held_out(training.machine, training.fold)
    spec = expert.features or FeatureSpec()
    learnt = [c for c in by_section(own, "source")[section] if c.path.name not in held_out]
    target_clips = by_section(own, "target").get(section, [])
    normal, target = load_clips(learnt).with_log_mels(spec), load_clips(target_clips).with_log_mels(spec)
    sounds = training.more.get(SOUNDS)
    wanted = (expert if sounds is None else expert.with_sounds_in(Path(sounds))).pseudo_anomalies
    gathered = gather(wanted, section, training.machine, split.training(), normal.samples, training.seed)
    anomalies = gathered.clips.with_log_mels(spec)
    stages = _Stages(training, target_clips)
    source = train_classifier(
        normal,
        anomalies,
        expert,
        training.execution,
        folder / "source",
        seed=training.seed,
        progress=stages.next(),
    )
    off_by = export_network(load_classifier(source), folder / GRAPH)

    def tuned_to(some: ClipSet, name: str) -> Any:
        final = tune_classifier(
            source,
            some,
            normal,
            anomalies,
            expert,
            training.execution,
            folder / name,
            seed=training.seed,
            progress=stages.next(),
        )
        return load_classifier(final)

    if expert.tuning is not None and target_clips:
        output = np.empty(0, np.float32)
        for number, left_out in enumerate(folds_of(target_clips, expert.tuning.folds)):
            rest = target.without(left_out)
            # A single clip leaves nothing to tune by: the network that knows no target judges it.
            network = tuned_to(rest, f"{HIDDEN_STAGE}{number}") if len(rest) else load_classifier(source)
            rows = infer(network, target.features[left_out])
            output = output if len(output) else np.empty((len(target), *rows.shape[1:]), np.float32)
            output[left_out] = rows
        np.save(folder / LEFT_OUT, output)
        off_by = max(off_by, export_network(tuned_to(target, "target"), folder / TARGET_GRAPH))
    sources = {name: gathered.sources.count(name) for name in sorted(set(gathered.sources))}
    return {"clips": len(learnt), "target_clips": len(target_clips), "pseudo_anomalies": sources, "off_by": off_by}


def folds_of(clips: Sequence[Clip], most: int) -> list[npt.NDArray[np.intp]]:
    """Return the rows of clips to leave out together, by recording, in at most `most` folds."""
    names = sorted({c.recording for c in clips})
    place = {name: i % min(most, len(names)) for i, name in enumerate(names)}
    where = np.array([place[c.recording] for c in clips])
    return [np.flatnonzero(where == fold) for fold in range(min(most, len(names)))]


class _Stages:
    """Progress of several trainings as steps of one whole."""

    def __init__(self, training: MemberTraining[ClassifierExpert], target: Sequence[Clip]) -> None:
        self._progress, self._before, self._last = training.progress, 0, 0
        self._total = training.expert.steps(target)

    def next(self) -> StepProgress:
        """Return the progress of the next training."""
        self._before += self._last
        before = self._before

        def report(step: int, steps: int, loss: float, seconds: float) -> None:
            self._last = steps
            left = seconds / max(steps - step, 1) * (self._total - before - step) if step < steps else 0.0
            self._progress(before + step, self._total, loss, left)

        return report
