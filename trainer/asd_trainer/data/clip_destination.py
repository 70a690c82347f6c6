"""Place of imported clips in a data set: their folder, names and numbers, those that exist included."""

from __future__ import annotations

import io
import re
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.errors import DataError, UsageError
from asd_agent.whole_files import write_whole
from asd_trainer.data.layout import Domain, Label, Split, parse

_FULL_SCALE = 32768.0
_PART = re.compile(r"(?P<name>.+)-b\d+\Z")


@dataclass(frozen=True)
class ClipDestination:
    """Folder and name of imported clips in a data set.

    Attributes:
        out: Root of the data set.
        machine: Machine type; letters, digits and `-`.
        section: Two digits.
        domain: Condition of the recordings.
        split: `train` or `test`.
        label: Label; training takes normal sound only.

    Raises:
        UsageError: A value does not fit into a name, or anomalies are given for training.
    """

    out: Path
    machine: str
    section: str = "00"
    domain: Domain = "source"
    split: Split = "train"
    label: Label = "normal"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-]+", self.machine):
            raise UsageError(f"machine {self.machine!r} cannot be part of a name", "Use letters, digits and `-`.")
        if not re.fullmatch(r"[0-9]{2}", self.section):
            raise UsageError(f"section {self.section!r} is not two digits", "Write it such as 00 or 01.")
        if self.domain not in ("source", "target"):
            raise UsageError(f"domain {self.domain!r} is not one of source, target")
        if self.split not in ("train", "test"):
            raise UsageError(f"split {self.split!r} is not one of train, test")
        if self.label not in ("normal", "anomaly"):
            raise UsageError(f"label {self.label!r} is not one of normal, anomaly")
        if self.split == "train" and self.label == "anomaly":
            raise UsageError("training takes only normal clips", "Give anomalous recordings --split test.")

    @property
    def folder(self) -> Path:
        """Folder of the clips."""
        return self.out / self.machine / ("train" if self.split == "train" else f"{self.domain}_test")

    def path(self, number: int, recording: str) -> Path:
        """Return the file of a clip."""
        kind = f"{self.domain}_{self.split}_{self.label}"
        return self.folder / f"section_{self.section}_{kind}_{number:04d}_rec_{recording}.wav"


class ClipNumbers:
    """Numbers of the clips at a destination, those that exist included.

    Args:
        destination: The destination.
    """

    def __init__(self, destination: ClipDestination) -> None:
        self._destination = destination
        self._taken: dict[int, Path] = {}
        self._firsts: dict[str, int] = {}
        self._whole: set[str] = set()
        for path in destination.folder.glob(f"section_{destination.section}_*.wav"):
            clip = parse(path)
            if clip is None or (clip.domain, clip.label) != (destination.domain, destination.label):
                continue
            self._taken[clip.index] = path
            if name := clip.attributes.get("rec"):
                base = without_part(name)
                self._firsts[base] = min(clip.index, self._firsts.get(base, clip.index))
                if name == base:
                    self._whole.add(name)
        self._free = max(self._taken, default=-1) + 1

    def first(self, name: str) -> int:
        """Return the number of the first clip of a recording."""
        return self._firsts.get(without_part(name), self._free)

    def whole(self, name: str) -> bool:
        """Return True if the recording exists without parts."""
        return name in self._whole

    def write(self, number: int, recording: str, clip: Signal, source: Path) -> bool:
        """Write a clip; return False if it exists.

        Raises:
            DataError: It exists with other content or under another name.
        """
        path = self._destination.path(number, recording)
        self._free = max(self._free, number + 1)
        content = _wav(np.clip(np.round(clip * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2"))
        existing = self._taken.get(number)
        if existing is None:
            write_whole(path, content)
            return True
        if existing != path or existing.read_bytes() != content:
            raise DataError(
                f"{existing}: exists with other content or another name than {source} gives",
                "Import into another folder, rename the recording, or repeat the options of the first import.",
            )
        return False


def without_part(name: str) -> str:
    """Return the name of a recording without the number of its part."""
    match = _PART.match(name)
    return match["name"] if match else name


def _wav(samples: npt.NDArray[np.int16]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()
