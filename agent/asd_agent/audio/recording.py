"""Clips in the layout of DCASE, written from windows and numbered on from those that are there."""

from __future__ import annotations

import io
import re
import wave
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.machine_gate import with_stops
from asd_agent.audio.quality import SoundQuality
from asd_agent.audio.window_source import SoundWindow
from asd_agent.errors import AudioError
from asd_agent.whole_files import STAGE, write_whole

CLIP_SECONDS = 10
CLIP_SAMPLES = CLIP_SECONDS * SAMPLE_RATE
CLIPS_A_RECORDING = 30
"""Five minutes: a block that long is held out as a whole."""
_NUMBER = re.compile(r"section_(\d{2})_(source|target)_train_normal_(\d{4,})(?:_.*)?\.wav\Z")
_CLIP = re.compile(r"section_\d{2}_.*_(?P<number>\d{4,})_rec_(?P<rec>[A-Za-z0-9-]+)\Z")
_STATED = re.compile(
    r"section_\d{2}_(?P<domain>source|target)_[a-z]+_[a-z]+_\d{4,}(?:_(?P<attributes>.*?))?\.[A-Za-z0-9]+\Z"
)
MOST_CHARACTERS = 80
"""Characters of an operating condition's name that are kept."""
_STRETCH = re.compile(r"(b\d+)s\d+\Z")
_BLOCK = re.compile(r"-?b\d+(s\d+)?\Z")
_TIME = re.compile(r"(?P<day>\d{8})T\d{4}")
_EARLIER = re.compile(r"\d{8}T\d{4}b\d+\Z")
"""Names that earlier versions gave; refused windows may be missing between two of their clips."""


def held_out_with(recording: str) -> str:
    """Return the block that is held out as a whole, from the attribute `rec` of a clip.

    >>> held_out_with("20270115T0800b0s2")
    '20270115T0800b0'
    """
    return _STRETCH.sub(r"\1", recording)


def operating_condition_of(name: str) -> str:
    """Return the operating condition that the name of a clip states: its domain and attributes; empty where none.

    The attribute `rec`, which names a recording, is no condition.

    >>> operating_condition_of("section_00_target_train_normal_0007_car_B1_spd_31V_rec_20270115T0800b0.wav")
    'target car B1 spd 31V'
    """
    found = _STATED.match(name)
    if found is None:
        return ""
    parts = found["attributes"].split("_") if found["attributes"] else []
    if "rec" in parts[::2]:
        place = 2 * parts[::2].index("rec")
        del parts[place : place + 2]
    return " ".join([found["domain"], *parts])[:MOST_CHARACTERS]


def recording_of(path: Path) -> tuple[str, int] | None:
    """Return the attribute `rec` and the number of a clip that `record` or `import` wrote; None for another file.

    >>> recording_of(Path("section_00_source_train_normal_0007_rec_20270115T0800b0s2.wav"))
    ('20270115T0800b0s2', 7)
    """
    found = _CLIP.match(path.stem)
    return (found["rec"], int(found["number"])) if found else None


def continues(recording: str, number: int, before: str, number_before: int) -> bool:
    """Return true where a clip begins with the sample after the last one of another clip.

    Args:
        recording: Attribute `rec` of the clip, as `record` and `import` write it.
        number: Number of the clip.
        before: Attribute `rec` of the other clip.
        number_before: Number of the other clip.

    >>> continues("20270115T0800b1s0", 30, "20270115T0800b0s0", 29)
    True
    >>> continues("20270115T0800b0s1", 7, "20270115T0800b0s0", 6)
    False
    """
    if number != number_before + 1 or _EARLIER.match(recording) or _EARLIER.match(before):
        return False
    return _BLOCK.sub(r"\1", recording) == _BLOCK.sub(r"\1", before)


def session_of(recordings: Iterable[str]) -> str:
    """Return the one session or day that recordings come from, in words; empty where there may be more.

    The scores of healthy sound move from session to session, by more than they vary within one.

    Args:
        recordings: Names of recordings; those of `record` and `import` hold the time at which they began.

    >>> session_of(["a/20270115T0800b0", "a/20270115T1400b0"]), session_of(["a/20270115T0800b0", "a/20270116T0800b0"])
    ('one day', '')
    >>> session_of(["live", "live"]), session_of(["fan.wav", "fan2.wav"])
    ('one recording session', '')
    """
    names = sorted(set(recordings))
    times = [_TIME.search(name) for name in names]
    begins = {time[0] if time else name for time, name in zip(times, names, strict=True)}
    if len(begins) == 1:
        return "one recording session"
    return "one day" if all(times) and len({time["day"] for time in times if time}) == 1 else ""


@dataclass(frozen=True)
class ClipFolder:
    """Folder of clips: OUT/<machine>/train/section_<section>_<domain>_train_normal_<number>_rec_<recording>.wav.

    A recording is named by the time at which it began, its block of five minutes, which is held out as a whole when
    thresholds are set, and its stretch: a refused window or a gap begins another one.

    Attributes:
        folder: OUT.
        machine: Machine type.
        section: Two digits.
        domain: `source` or `target`.
        began: Name of this call's recordings, such as 20270115T0800.
    """

    folder: Path
    machine: str
    section: str
    domain: str
    began: str

    @property
    def train(self) -> Path:
        """Folder of the clips."""
        return self.folder / self.machine / "train"

    def path(self, number: int, first: int = 0, stretch: int = 0) -> Path:
        """Return the path of a clip by its number, for a call whose clips begin with the number `first`."""
        recording = f"{self.began}b{(number - first) // CLIPS_A_RECORDING}s{stretch}"
        return self.train / f"section_{self.section}_{self.domain}_train_normal_{number:04d}_rec_{recording}.wav"

    def numbers(self) -> list[int]:
        """Return the numbers of the clips that are there, in order."""
        found = (_NUMBER.match(p.name) for p in self.train.glob("section_*.wav"))
        return sorted(int(m[3]) for m in found if m and (m[1], m[2]) == (self.section, self.domain))


@dataclass
class ClipCounts:
    """Counts of windows by outcome.

    Attributes:
        kept: Clips written.
        refused: Windows that were refused, by the gravest reason.
    """

    kept: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def record_clips(
    windows: Iterable[SoundWindow],
    folder: ClipFolder,
    wanted: int,
    counts: ClipCounts,
    level_above_dbfs: float | None = None,
) -> Iterator[tuple[SoundWindow, SoundQuality]]:
    """Write good windows as clips until so many were written, and yield each window with its quality.

    Args:
        windows: Windows of `CLIP_SAMPLES` samples.
        folder: Folder that the clips go to.
        wanted: Number of clips to write.
        counts: Counted up.
        level_above_dbfs: The machine runs while its sound is louder than this; None without a gate.

    Raises:
        AudioError: A clip cannot be written; those before are there.
    """
    for left in folder.train.glob(f"{STAGE}*"):  # left by a call that was killed
        left.unlink(missing_ok=True)
    first = number = max(folder.numbers(), default=-1) + 1
    if counts.kept >= wanted:
        return
    stretch, end = -1, -1
    for window, quality, stop in with_stops(windows, level_above_dbfs):
        if stop is not None or quality.reasons:
            counts.refused[stop or quality.reasons[0]] += 1
        else:
            stretch, end = stretch + (window.first != end), window.first + len(window.signal)
            path = folder.path(number, first, stretch)
            try:
                write_whole(path, _wav(window))
            except OSError as error:
                raise AudioError(f"{path}: cannot be written ({error.strerror})") from error
            number, counts.kept = number + 1, counts.kept + 1
        yield window, quality
        if counts.kept >= wanted:
            return


def _wav(window: SoundWindow) -> bytes:
    packed = io.BytesIO()
    exact = np.clip(np.round(window.signal.astype(np.float64) * 32768.0), -32768, 32767).astype(np.int16)
    with wave.open(packed, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(exact.itemsize)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(exact.astype("<i2").tobytes())
    return packed.getvalue()
