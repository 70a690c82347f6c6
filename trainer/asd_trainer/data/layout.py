"""The official layouts: what a clip's place and name say of it.

DCASE Task 2 of 2020 (`machine/train/normal_id_00_00000000.wav`), 2021 (`machine/source_test/section_00_source_test_
normal_0000_….wav`) and 2022 to 2025 (`machine/test/section_00_source_test_normal_0000_….wav`, attribute files beside
it), MIMII (`machine/id_00/abnormal/00000000.wav`) and ToyADMOS (`ToyCar/case1/AnomalousSound_IND/….wav`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Domain = Literal["source", "target"]
Split = Literal["train", "test", "supplemental"]
Label = Literal["normal", "anomaly"]
SUFFIXES = (".wav", ".flac")

_SECTION = re.compile(
    r"section_(?P<section>\d{2})(?:_(?P<domain>source|target))?(?:_(?P<split>train|test|supplemental))?"
    r"(?:_(?P<label>normal|anomaly))?_(?P<index>\d{4,})(?:_(?P<attributes>.+))?\Z"
)
_ID = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<section>\d{2})_(?P<index>\d{4,})\Z")
_NUMBER = re.compile(r"(?P<index>\d{4,})\Z")
_CASE = re.compile(r"case(?P<section>\d)_?(?P<attributes>.*?)_(?P<index>\d{4,})\Z")
_FOLDERS: Mapping[str, tuple[Split, Domain | None]] = {
    "train": ("train", None),
    "test": ("test", None),
    "source_test": ("test", "source"),
    "target_test": ("test", "target"),
    "supplemental": ("supplemental", None),
}


@dataclass(frozen=True)
class Clip:
    """One recording and what its name says.

    Attributes:
        path: The file.
        machine: Machine type.
        section: Two digits.
        domain: None where an evaluation set does not tell.
        split: Training, test, or supplemental sound.
        label: None where it is not told.
        index: Number in the name.
        attributes: Such as speed or microphone, by their names.
        recording: Clips of one recording have the same; by default every clip is its own.
    """

    path: Path
    machine: str
    section: str
    domain: Domain | None
    split: Split
    label: Label | None
    index: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    recording: str = ""

    def __post_init__(self) -> None:
        if not self.recording:
            own = self.attributes.get("rec", f"{self.section}_{self.domain}_{self.split}_{self.label}_{self.index}")
            object.__setattr__(self, "recording", own)


def parse(path: Path) -> Clip | None:
    """What a file's name and folders say; None when they follow no official layout."""
    stem, folder = path.stem, path.parent.name
    if match := _SECTION.match(stem):
        return _of_section(path, match, folder)
    if (match := _ID.match(stem)) and folder in ("train", "test"):
        split, _ = _FOLDERS[folder]
        label = _label(match["label"])
        return Clip(path, path.parent.parent.name, match["section"], "source", split, label, int(match["index"]))
    if (match := _NUMBER.match(stem)) and folder in ("normal", "abnormal"):
        return _of_mimii(path, match, folder)
    if (match := _CASE.match(stem)) and folder.startswith(("NormalSound", "AnomalousSound")):
        return _of_toyadmos(path, match, folder)
    return None


def with_attributes(clip: Clip, more: Mapping[str, str]) -> Clip:
    """The clip with what an attribute file says of it; its name goes before."""
    return replace(clip, attributes={**more, **clip.attributes}) if more else clip


def split_attributes(text: str) -> dict[str, str]:
    """`vel_730_ac_0.11` as names and values; a word without a value keeps its place as `attribute`."""
    if not text or text == "noAttribute":
        return {}
    words = text.split("_")
    if len(words) == 1:
        return {"attribute": text}
    pairs = {words[i]: words[i + 1] for i in range(0, len(words) - 1, 2)}
    return pairs | ({"attribute": words[-1]} if len(words) % 2 else {})


def _of_section(path: Path, match: re.Match[str], folder: str) -> Clip | None:
    if folder not in _FOLDERS:
        return None
    split, domain = _FOLDERS[folder]
    if match["split"] and match["split"] != split:
        return None
    if domain and match["domain"] and domain != match["domain"]:
        return None
    said = _domain(match["domain"]) or domain
    label = _label(match["label"]) or ("normal" if split == "train" else None)
    attributes = split_attributes(match["attributes"] or "")
    return Clip(path, path.parent.parent.name, match["section"], said, split, label, int(match["index"]), attributes)


def _of_mimii(path: Path, match: re.Match[str], folder: str) -> Clip | None:
    unit = path.parent.parent.name
    if not re.fullmatch(r"id_\d{2}", unit):
        return None
    label: Label = "normal" if folder == "normal" else "anomaly"
    split: Split = "train" if folder == "normal" else "test"
    return Clip(path, path.parent.parent.parent.name, unit[3:], "source", split, label, int(match["index"]))


def _of_toyadmos(path: Path, match: re.Match[str], folder: str) -> Clip:
    normal = folder.startswith("Normal")
    attributes = {"name": match["attributes"]} if match["attributes"] else {}
    return Clip(
        path,
        path.parent.parent.parent.name,
        f"{int(match['section']):02d}",
        "source",
        "train" if normal else "test",
        "normal" if normal else "anomaly",
        int(match["index"]),
        attributes,
    )


def _domain(text: str | None) -> Domain | None:
    return "source" if text == "source" else "target" if text == "target" else None


def _label(text: str | None) -> Label | None:
    return "normal" if text == "normal" else "anomaly" if text == "anomaly" else None
