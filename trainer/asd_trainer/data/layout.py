"""The official layouts: clips by their places and names, attribute files beside them, and a split where there is none.

DCASE Task 2 of 2020 (`machine/train/normal_id_00_00000000.wav`), 2021 (`machine/source_test/section_00_source_test_
normal_0000_….wav`) and 2022 to 2025 (`machine/test/section_00_source_test_normal_0000_….wav`, attribute files beside
it), MIMII (`0_dB_fan/fan/id_00/abnormal/00000000.wav`) and ToyADMOS
(`ToyCar/case1/AnomalousSound_IND/1101010001_ToyCar_case1_ab01_IND_ch1_0001.wav`).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Domain = Literal["source", "target"]
Split = Literal["train", "test", "supplemental"]
Label = Literal["normal", "anomaly"]
SUFFIXES = (".wav", ".flac")

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
_FOLDERS: Mapping[str, tuple[Split, Domain | None]] = {
    "train": ("train", None),
    "test": ("test", None),
    "source_test": ("test", "source"),
    "target_test": ("test", "target"),
    "supplemental": ("supplemental", None),
}
_SPLIT_FOLDERS = ("train", "test", "source_test", "target_test", "supplemental")


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
    """The clip with what an attribute file says of it; its name goes before."""
    return replace(clip, attributes={**more, **clip.attributes}) if more else clip


def split_attributes(text: str) -> dict[str, str]:
    """`vel_730_ac_0.11` as names and values; a word without a value is called `attribute`.

    In 2021 a value stands before its unit, `25_mm_2000_mV`; the unit is then its name.
    """
    if not text or text == "noAttribute":
        return {}
    words = text.split("_")
    found: dict[str, str] = {}
    for first, second in zip(words[::2], words[1::2], strict=False):
        name, value = (second, first) if _is_number(first) and not _is_number(second) else (first, second)
        found[name] = value
    return found | ({"attribute": words[-1]} if len(words) % 2 else {})


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
    return Clip(path, _ancestor(path, 2), match["section"], said, split, label, int(match["index"]), attributes)


def _of_supplement(path: Path, match: re.Match[str]) -> Clip:
    """Clean or noise-only sound of 2025; its name says which, and it belongs to neither class."""
    attributes = split_attributes(match["attributes"] or "")
    kind = match["kind"].replace("supplemental", "").strip("_").replace("__", "_")
    if kind:
        attributes["kind"] = kind
    recording = f"{match['section']}_supplemental_{path.stem}"
    domain, index = _domain(match["domain"]), int(match["index"])
    return Clip(path, _ancestor(path, 2), match["section"], domain, "supplemental", None, index, attributes, recording)


def _of_mimii(path: Path, match: re.Match[str], folder: str) -> Clip | None:
    """Noise was added to one and the same recording at each ratio, so that these clips share their recording."""
    unit = _ancestor(path, 2)
    if not re.fullmatch(r"id_\d{2}", unit):
        return None
    label: Label = "normal" if folder == "normal" else "anomaly"
    split: Split = "train" if folder == "normal" else "test"
    noise = _SNR.match(_ancestor(path, 4))
    attributes = {"snr": noise["snr"]} if noise else {}
    return Clip(path, _ancestor(path, 3), unit[3:], "source", split, label, int(match["index"]), attributes)


def _of_toyadmos(path: Path, match: re.Match[str], folder: str) -> Clip:
    """Four microphones heard each event, so that their clips share its recording."""
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
    """Name of a folder above a file, also where the path is a relative one."""
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
