"""Limits set by the number of clips: experts that can be fitted, certainty of thresholds, possible measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asd_agent.calibrate.condition import PROVISIONAL_BELOW
from asd_trainer.data.layout import Clip, Domain
from asd_trainer.data.split import LEAST_HELD_OUT, LEAST_RECORDINGS

_DOMAINS: tuple[Domain, ...] = ("source", "target")


def permits(machines: Sequence[str], clips: Sequence[Clip]) -> list[str]:
    """Return the limits set by usable clips, one sentence each, by machine.

    Args:
        machines: Names to report, also where no clip of theirs is usable.
        clips: Those that can be read, of all machines.
    """
    sentences: list[str] = []
    for machine in machines:
        mine = [c for c in clips if c.machine == machine]
        found = [*_training(mine), *_testing(mine)]
        sentences += [f"{machine}{text}" for text in found or [": everything that a recipe may ask for"]]
    return sentences


def _training(clips: Sequence[Clip]) -> Iterator[str]:
    training = [c for c in clips if c.split == "train" and c.label == "normal"]
    sections = sorted({c.section for c in training})
    if not sections:
        yield ": no normal clips for training: nothing can be trained"
    if len(sections) == 1:
        yield ": one section: ID regression has nothing to tell apart"
    for section in sections:
        source, target = ([c for c in training if (c.section, c.domain) == (section, d)] for d in _DOMAINS)
        recordings = len({c.recording for c in source})
        if not source:
            yield f" section {section}: target clips alone: cannot be trained, the source comes first"
        elif recordings < LEAST_RECORDINGS:
            yield f" section {section}: fewer than {LEAST_RECORDINGS} recordings: nothing can be fitted"
        elif recordings < 2 * LEAST_HELD_OUT:
            yield f" section {section}: fewer than {2 * LEAST_HELD_OUT} recordings: no network, detectors without one"
        if not target:
            yield f" section {section}: no target clips: source domain only"
        elif len(target) < PROVISIONAL_BELOW:
            yield f" section {section}: {len(target)} target clips: location only, spread and tail from the source"


def _testing(clips: Sequence[Clip]) -> Iterator[str]:
    testing = [c for c in clips if c.split == "test"]
    if not testing:
        yield ": no test clips: no AUC"
    for section in sorted({c.section for c in testing}):
        for domain in (*_DOMAINS, None):
            labels = [c.label for c in testing if (c.section, c.domain) == (section, domain)]
            where = f" section {section}" + (f" {domain}" if domain else "")
            if labels and not any(labels):
                yield f"{where}: {len(labels)} test clips without labels: AUC only with a truth folder"
            elif labels and "anomaly" not in labels:
                yield f"{where}: no anomalies: no AUC"
            elif labels and "normal" not in labels:
                yield f"{where}: no normal test clips: no AUC"
