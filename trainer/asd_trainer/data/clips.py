"""What names alone do not say of clips: attribute files beside them, and a split where a layout has none."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asd_trainer.data.layout import Clip

_SPLIT_FOLDERS = ("train", "test", "source_test", "target_test", "supplemental")


def attribute_files(root: Path) -> dict[tuple[Path, str], dict[str, str]]:
    """Attributes of clips, from `fan/attributes_00.csv` files: file_name, d1p, d1v, d2p, d2v, …

    Args:
        root: A data set, a machine's folder, or any folder above.

    Returns:
        By the machine's folder and the clip's name: several machines have clips of the same name.
    """
    found: dict[tuple[Path, str], dict[str, str]] = {}
    for path in sorted(root.rglob("attributes_*.csv")):
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            for row in csv.DictReader(file):
                if name := Path(row.get("file_name") or "").name:
                    found[path.parent, name] = _pairs(row)
    return found


def attributes_of(path: Path, files: Mapping[tuple[Path, str], dict[str, str]]) -> dict[str, str]:
    """What the attribute file of a clip's machine says of it; nothing where there is none."""
    return files.get((path.parent.parent, path.name), {})


def hold_out_for_test(clips: Sequence[Clip]) -> Iterator[Clip]:
    """Give layouts without a split one (MIMII, ToyADMOS), clip by clip in the same order.

    As many normal recordings as there are anomalous ones are kept for testing, the lowest numbers; all clips of a
    recording, whatever their microphone or noise, stay on one side.
    """
    unsplit = [c for c in clips if c.path.parent.name not in _SPLIT_FOLDERS]
    normal: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    anomalous: dict[tuple[str, str], set[str]] = defaultdict(set)
    for clip in unsplit:
        key = clip.machine, clip.section
        if clip.label == "normal":
            normal[key][clip.recording] = clip.index
        else:
            anomalous[key].add(clip.recording)
    kept: set[tuple[str, str, str]] = set()
    for (machine, section), recordings in normal.items():
        ordered = sorted(recordings, key=lambda r: (recordings[r], r))
        kept |= {(machine, section, r) for r in ordered[: len(anomalous[machine, section])]}
    loose = {id(c) for c in unsplit}
    for clip in clips:
        if id(clip) in loose and clip.label == "normal" and (clip.machine, clip.section, clip.recording) in kept:
            yield replace(clip, split="test")
        else:
            yield clip


def _pairs(row: Mapping[str | None, str | None]) -> dict[str, str]:
    return {
        value: row.get(f"{key[:-1]}v") or ""
        for key, value in row.items()
        if isinstance(key, str) and key.startswith("d") and key.endswith("p") and value
    }
