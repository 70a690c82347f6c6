"""Official layouts: clips by folder and name, attribute files beside them, and a split where a layout has none.

DCASE Task 2 of 2020 (`machine/train/normal_id_00_00000000.wav`), 2021 (`machine/source_test/section_00_source_test_
normal_0000_….wav`) and 2022 to 2025 (`machine/test/section_00_source_test_normal_0000_….wav`, attribute files beside
it), MIMII (`0_dB_fan/fan/id_00/abnormal/00000000.wav`) and ToyADMOS
(`ToyCar/case1/AnomalousSound_IND/1101010001_ToyCar_case1_ab01_IND_ch1_0001.wav`).

The official baseline copies test clips. From an evaluation set of 2023 or later it makes `test_rename/`, which has the
clips of `test/` under names with domain and label; from a set of 2021 it makes `test/` of `source_test/` and
`target_test/`. One copy of each counts: the labelled one, and that in the folder of its domain.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from asd_agent.audio.recording import continues, held_out_with

Domain = Literal["source", "target"]
Split = Literal["train", "test", "supplemental"]
Label = Literal["normal", "anomaly"]

_SECTION = re.compile(
    r"section_(?P<section>\d{2})(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?"
    r"(?:_(?P<label>normal|anomaly))?_(?P<index>\d{4,})(?:_(?P<attributes>.*))?\Z"
)
_SUPPLEMENT = re.compile(
    r"section_(?P<section>\d{2})_(?:(?P<domain>source|target)_)?(?P<kind>.*?)_?(?P<index>\d{4,})(?:_(?P<attributes>.*))?\Z"
)
_ID = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<section>\d{2})_(?P<index>\d{4,})\Z")
_NUMBER = re.compile(r"(?P<index>\d{4,})\Z")
_CASE = re.compile(
    r"\d+_(?P<machine>[A-Za-z]+)_case(?P<section>\d+)_(?P<kind>[A-Za-z]+\d*)_(?P<how>IND|CNT)_ch(?P<channel>\d+)_(?P<index>\d+)\Z"
)
_SNR = re.compile(r"(?P<snr>-?\d+)_dB_")
RENAMED = "test_rename"
"""Folder of the official baseline with the clips of `test/` under names with domain and label."""
_FOLDERS: Mapping[str, tuple[Split, Domain | None]] = {
    "train": ("train", None),
    "test": ("test", None),
    "source_test": ("test", "source"),
    "target_test": ("test", "target"),
    RENAMED: ("test", None),
    "supplemental": ("supplemental", None),
}


@dataclass(frozen=True)
class Clip:
    """One sound file and the content of its name.

    Attributes:
        path: The file.
        machine: Machine type.
        section: Two digits.
        domain: Domain; None where an evaluation set does not give it.
        split: Training, test, or supplemental sound.
        label: Label; None where it is unknown.
        index: Number in the name.
        attributes: Attributes by name, such as speed or microphone.
        recording: Recording that the clip was cut from; by default every clip is its own.
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
            own = f"{self.section}_{self.domain}_{self.split}_{self.label}_{self.index}"
            object.__setattr__(self, "recording", held_out_with(self.attributes.get("rec", own)))

    def continues(self, before: Clip) -> bool:
        """Return true where the clip was cut from a recording right behind another one."""
        own, other = self.attributes.get("rec"), before.attributes.get("rec")
        places = {(c.path.parent, c.section, c.domain, c.label) for c in (self, before)}
        if own is None or other is None or len(places) > 1:
            return False
        return continues(own, self.index, other, before.index)


def parse(path: Path) -> Clip | None:
    """Return the clip of a file from its name and folders; None where they follow no official layout."""
    stem, folder = path.stem, path.parent.name
    if folder == "supplemental":
        return _of_supplement(path, match) if (match := _SUPPLEMENT.match(stem)) else None
    if match := _SECTION.match(stem):
        return _of_section(path, match, folder)
    if (match := _ID.match(stem)) and folder in ("train", "test"):
        split, _ = _FOLDERS[folder]
        label = _label(match["label"]) or ("normal" if split == "train" else None)
        return Clip(path, _ancestor(path, 2), match["section"], "source", split, label, int(match["index"]))
    if (match := _NUMBER.match(stem)) and folder in ("normal", "abnormal"):
        return _of_mimii(path, match, folder)
    if (match := _CASE.match(stem)) and folder.startswith(("NormalSound", "AnomalousSound")):
        return _of_toyadmos(path, match, folder)
    return None


def with_attributes(clip: Clip, more: Mapping[str, str]) -> Clip:
    """Return a clip with more attributes from an attribute file; those in its name take precedence."""
    return replace(clip, attributes={**more, **clip.attributes}) if more else clip


def split_attributes(text: str) -> dict[str, str]:
    """Return the attributes in a name, such as `vel_730_ac_0.11`; a word without a value is called `attribute`.

    In names of 2021 a value precedes its unit, `25_mm_2000_mV`; the unit is then the name.

    Examples:
        >>> split_attributes("vel_730_loc_A")
        {'vel': '730', 'loc': 'A'}
    """
    if not text or text == "noAttribute":
        return {}
    words = text.split("_")
    found: dict[str, str] = {}
    for first, second in zip(words[::2], words[1::2], strict=False):
        name, value = (second, first) if _is_number(first) and not _is_number(second) else (first, second)
        found[name] = value
    return found | ({"attribute": words[-1]} if len(words) % 2 else {})


def attribute_files(files: Iterable[Path]) -> dict[tuple[Path, str], dict[str, str]]:
    """Read the attributes of clips from `fan/attributes_00.csv` files: file_name, d1p, d1v, d2p, d2v, …

    Args:
        files: Files of a data set; others than attribute files are ignored.

    Returns:
        Attributes by the folder of the machine and the name of the clip: several machines have clips of one name.
    """
    found: dict[tuple[Path, str], dict[str, str]] = {}
    for path in (f for f in files if fnmatch(f.name, "attributes_*.csv")):
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            for row in csv.DictReader(file):
                if name := Path(row.get("file_name") or "").name:
                    found[path.parent, name] = _pairs(row)
    return found


def attributes_of(path: Path, files: Mapping[tuple[Path, str], dict[str, str]]) -> dict[str, str]:
    """Return the attributes of a clip in the attribute file of its machine; empty where there is none."""
    return files.get((path.parent.parent, path.name), {})


def without_copies(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Return clips without the copies in `test/` that the official baseline makes or made, and these copies.

    A clip without a label is a copy where `test_rename/` beside it has clips of its section, and a clip with a label is
    one where `source_test/` or `target_test/` beside it has a file of its name.
    """
    renamed = {(c.path.parent.parent, c.section) for c in clips if c.path.parent.name == RENAMED}
    by_domain = {
        (c.path.parent.parent, c.path.name) for c in clips if c.path.parent.name in ("source_test", "target_test")
    }
    kept: list[Clip] = []
    copies: list[Clip] = []
    for clip in clips:
        machine = clip.path.parent.parent
        unlabelled = clip.label is None and (machine, clip.section) in renamed
        copied = clip.path.parent.name == "test" and (unlabelled or (machine, clip.path.name) in by_domain)
        (copies if copied else kept).append(clip)
    return kept, copies


def hold_out_for_test(clips: Sequence[Clip]) -> Iterator[Clip]:
    """Yield clips in the same order, with a split for layouts that have none (MIMII, ToyADMOS).

    As many normal recordings as there are anomalous ones are kept for testing, those with the lowest numbers. All clips
    of a recording, whatever their microphone or noise, get the same split.
    """
    unsplit = [c for c in clips if c.path.parent.name not in _FOLDERS]
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


def _of_section(path: Path, match: re.Match[str], folder: str) -> Clip | None:
    if folder not in _FOLDERS:
        return None
    split, domain = _FOLDERS[folder]
    if match["split"] and match["split"] != split:
        return None
    if domain and match["domain"] and domain != match["domain"]:
        return None
    own = _domain(match["domain"]) or domain
    label = _label(match["label"]) or ("normal" if split == "train" else None)
    attributes = split_attributes(match["attributes"] or "")
    return Clip(path, _ancestor(path, 2), match["section"], own, split, label, int(match["index"]), attributes)


def _of_supplement(path: Path, match: re.Match[str]) -> Clip:
    """Return a clip of clean machine or noise-only sound of 2025, as in its name; it belongs to neither class."""
    attributes = split_attributes(match["attributes"] or "")
    kind = match["kind"].replace("supplemental", "").strip("_").replace("__", "_")
    if kind:
        attributes["kind"] = kind
    recording = f"{match['section']}_supplemental_{path.stem}"
    domain, index = _domain(match["domain"]), int(match["index"])
    return Clip(path, _ancestor(path, 2), match["section"], domain, "supplemental", None, index, attributes, recording)


def _of_mimii(path: Path, match: re.Match[str], folder: str) -> Clip | None:
    """Return a clip of MIMII; each recording is there once for each ratio of added noise."""
    unit = _ancestor(path, 2)
    if not re.fullmatch(r"id_\d{2}", unit):
        return None
    label: Label = "normal" if folder == "normal" else "anomaly"
    split: Split = "train" if folder == "normal" else "test"
    noise = _SNR.match(_ancestor(path, 4))
    attributes = {"snr": noise["snr"]} if noise else {}
    return Clip(path, _ancestor(path, 3), unit[3:], "source", split, label, int(match["index"]), attributes)


def _of_toyadmos(path: Path, match: re.Match[str], folder: str) -> Clip:
    """Return a clip of ToyADMOS; the four clips of the microphones at one event share its recording."""
    normal = folder.startswith("Normal")
    kind, how, index = match["kind"], match["how"], int(match["index"])
    section = f"{int(match['section']):02d}"
    return Clip(
        path,
        match["machine"],
        section,
        "source",
        "train" if normal else "test",
        "normal" if normal else "anomaly",
        index,
        {"mic": match["channel"], "how": how} | ({} if normal else {"fault": kind}),
        f"{section}_{kind}_{how}_{index}",
    )


def _ancestor(path: Path, levels: int) -> str:
    """Return the name of a folder above a file, also for a relative path."""
    parents = path.absolute().parents
    return parents[levels - 1].name if len(parents) >= levels else ""


def _is_number(word: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", word) is not None


def _domain(text: str | None) -> Domain | None:
    return "source" if text == "source" else "target" if text == "target" else None


def _label(text: str | None) -> Label | None:
    return "normal" if text == "normal" else "anomaly" if text == "anomaly" else None


def _pairs(row: Mapping[str | None, str | None]) -> dict[str, str]:
    return {
        value: row.get(f"{key[:-1]}v") or ""
        for key, value in row.items()
        if isinstance(key, str) and key.startswith("d") and key.endswith("p") and value
    }
