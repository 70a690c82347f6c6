"""Outputs of trained networks and of statistics for all clips of data sets, stored once for `score_choices.py`.

python benchmarks/stored_outputs.py STORE --data DATA --data DATA --runs RUNS --runs RUNS

RUNS are folders of `asd-trainer train`. What is stored already is kept, so that networks can be added as they are
trained. One array a member: STORE/<data>/<machine>/<recipe>.<seed>.<member>.npy, shape (clips, rows, dimensions), rows
of NaN for clips of sections that the member does not judge, and clips.json beside them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import Member
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.inference.members import Inference, WindowFeatures, load_member
from asd_agent.inference.providers import Sessions
from asd_agent.whole_files import whole_file, write_json
from asd_trainer.data.clips import load_clips
from asd_trainer.data.dataset import DataSet, labelled_clips, scan
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import DataSplit, HeldOut
from asd_trainer.jobs.runs import find_runs

CLIPS = "clips.json"
BATCH = 16
STATISTICS = {
    "indicators": Member(id="indicators", kind="indicators"),
    "mel": Member(id="mel", kind="mel_statistics", features=FeatureSpec(n_fft=1024, hop_length=512, n_mels=128)),
    "mel-short": Member(
        id="mel-short", kind="mel_statistics", features=FeatureSpec(n_fft=512, hop_length=128, n_mels=64)
    ),
}
"""Members without training; `mel` is that of the recipe `mahalanobis`, `mel-short` has 125 frames a second."""


@dataclass(frozen=True)
class Judge:
    """A member with its place in the store.

    Attributes:
        key: Name of its array.
        infer: Its inference.
        sections: Sections that it judges; None for all.
        unlearnt: Names of the normal training clips that it has not learnt; None where nothing is trained.
    """

    key: str
    infer: Inference
    sections: frozenset[str] | None = None
    unlearnt: frozenset[str] | None = None


def untrained() -> list[Judge]:
    """Return the members without training."""
    return [Judge(f"{key}.0.{key}", load_member(m, Path(), {}, {}, Sessions())) for key, m in STATISTICS.items()]


def trained(data: DataSet, machine: str, roots: Sequence[Path]) -> list[Judge]:
    """Return the networks of a machine's finished runs."""
    found = []
    for run in [r for root in roots if any(root.rglob("run.json")) for r in find_runs(root)]:
        if run.machine != machine or run.data.resolve() != data.root.resolve():
            continue
        bundle = Bundle.open(run.bundle)
        manifest = bundle.manifest
        settings = HeldOut.model_validate(manifest.provenance.recipe_settings["held_out"])
        split = DataSplit.of(data, settings, run.seed)
        sessions = Sessions(threads=1)
        for member in manifest.members:
            if member.graph is None:
                continue
            uses = {
                c.section for c in manifest.conditions for e in c.experts for u in e.members if u.member == member.id
            }
            everywhere = uses == {c.section for c in manifest.conditions}
            found.append(
                Judge(
                    f"{run.recipe}.{run.seed}.{member.id}",
                    load_member(member, bundle.path, manifest.files, bundle.scorers, sessions),
                    None if everywhere else frozenset(uses),
                    split.held_out(machine, both_domains=member.kind == "embedding"),
                )
            )
    return found


def store(folder: Path, clips: Sequence[Clip], judges: Sequence[Judge]) -> None:
    """Store what judges infer from clips, unless it is there."""
    missing = [j for j in judges if not (folder / f"{j.key}.npy").is_file()]
    parts: dict[str, list[npt.NDArray[np.float32]]] = {j.key: [] for j in missing}
    for start in range(0, len(clips) if missing else 0, BATCH):
        batch = clips[start : start + BATCH]
        features = WindowFeatures(load_clips(batch).floats())
        for judge in missing:
            output = judge.infer(features, [c.section for c in batch])
            if judge.sections is not None:
                output[[c.section not in judge.sections for c in batch]] = np.nan
            parts[judge.key].append(output)
    for judge in missing:
        with whole_file(folder / f"{judge.key}.npy") as partial, partial.open("wb") as file:
            np.save(file, np.concatenate(parts[judge.key]))
        write_json(
            folder / f"{judge.key}.json", {"unlearnt": None if judge.unlearnt is None else sorted(judge.unlearnt)}
        )


def describe(folder: Path, clips: Sequence[Clip]) -> None:
    """Store what is known of the clips."""
    names = ("section", "domain", "split", "label", "recording")
    rows = [{"name": c.path.name} | {n: getattr(c, n) for n in names} for c in clips]
    write_json(folder / CLIPS, rows)


def main() -> None:
    """Store what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--runs", type=Path, action="append", default=[])
    parser.add_argument("--machine", action="append", default=[])
    parser.add_argument("--no-statistics", action="store_true")
    asked = parser.parse_args()
    for root in asked.data:
        data = scan(root)
        for machine in asked.machine or data.machines:
            clips = [*data.select(machine=machine, split="train", label="normal"), *labelled_clips(data, machine)]
            folder = asked.store / root.resolve().name / machine
            folder.mkdir(parents=True, exist_ok=True)
            describe(folder, clips)
            judges = [*([] if asked.no_statistics else untrained()), *trained(data, machine, asked.runs)]
            store(folder, clips, judges)
            sys.stdout.write(f"{folder}: {len(clips)} clips, {len(judges)} members\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
