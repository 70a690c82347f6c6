"""Check of one sound file of a data set: readable, whole, long enough, and recorded without faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal, read_clip
from asd_agent.audio.quality import QualityLimits, constant_share
from asd_agent.bundle.files import file_digest
from asd_agent.errors import AudioError
from asd_trainer.data.clips import WINDOW_SAMPLES, WINDOW_SECONDS
from asd_trainer.data.dataset import Problem

Kind = Literal[
    "unreadable",
    "empty",
    "truncated",
    "not_finite",
    "too_short",
    "rate",
    "channels",
    "duplicate",
    "silence",
    "misnamed",
    "format",
    "clipping",
    "mislabelled",
    "hidden",
    "link",
    "copy",
]
BROKEN: frozenset[str] = frozenset({"unreadable", "empty", "truncated", "not_finite", "too_short"})
"""Kinds of problems that stop training or scoring; the others are warnings."""
_SILENT_RUN_SECONDS, _SILENT_SHARE = 0.02, 0.02
_READ_ERRORS: tuple[tuple[str, Kind], ...] = (
    ("truncated", "truncated"),
    ("NaN", "not_finite"),
    ("holds no samples", "empty"),
)
"""Words in the errors of `read_clip` that identify their kind; any other error means unreadable."""


@dataclass(frozen=True)
class FileCheck:
    """Result of opening one file.

    Attributes:
        seconds: Length in s; 0 where it cannot be read.
        rate: Sampling rate in Hz; 0 where it cannot be read.
        channels: Number of channels; 0 where it cannot be read.
        digest: SHA-256 of the file; empty where it cannot be read.
        problems: Problems of the file.
    """

    seconds: float = 0.0
    rate: int = 0
    channels: int = 0
    digest: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def usable(self) -> bool:
        """True if the file can be trained on and scored."""
        return not any(p.kind in BROKEN for p in self.problems)


def check_file(path: Path) -> FileCheck:
    """Open one file at its own rate and check it."""
    import soundfile

    try:
        if path.stat().st_size == 0:
            return _broken(path, "empty", "is empty, 0 bytes")
        digest = file_digest(path)
        rate = soundfile.info(path).samplerate
        audio = read_clip(path, rate=rate)
    except soundfile.SoundFileError:
        if text := _is_text(path):
            return _broken(path, "unreadable", f"is text, not audio: it begins with {text!r}")
        return _broken(path, "unreadable", "cannot be read as audio")
    except AudioError as error:
        kind: Kind = next((known for words, known in _READ_ERRORS if words in error.what), "unreadable")
        return _broken(path, kind, error.what.removeprefix(f"{path}: "), error.remedy)
    except OSError as error:
        return _broken(path, "unreadable", f"cannot be read ({error.strerror})", "See its permissions and its disk.")
    problems = tuple(_judged(path, audio.samples, rate, audio.channels_in))
    return FileCheck(len(audio.samples) / rate, rate, audio.channels_in, digest, problems)


def _judged(path: Path, samples: Signal, rate: int, channels: int) -> Iterator[Problem]:
    seconds = len(samples) / rate
    if round(len(samples) * SAMPLE_RATE / rate) < WINDOW_SAMPLES:
        text = f"is too short: {seconds:.2f} s, a window has {WINDOW_SECONDS:g} s"
        yield Problem(path, "too_short", text, "Leave it out or record longer.")
    if rate != SAMPLE_RATE:
        yield Problem(path, "rate", f"has a rate of {rate} Hz and will be resampled to {SAMPLE_RATE} Hz")
    if channels > 1:
        yield Problem(path, "channels", f"has {channels} channels, which will be averaged to one")
    limits = QualityLimits()
    if float(np.mean(np.abs(samples) >= limits.clip_level)) > limits.clip_share:
        text = f"clips: more than {100 * limits.clip_share:g} % of its samples are at full scale"
        yield Problem(path, "clipping", text, "Record with less gain.")
    still = constant_share(samples, round(_SILENT_RUN_SECONDS * rate), limits.clip_level)
    if still > _SILENT_SHARE:
        text = f"is digital silence for {100 * still:.0f} % of its length"
        yield Problem(path, "silence", text, "No microphone is so still: check that it was connected.")


def _broken(path: Path, kind: Kind, text: str, remedy: str = "Record or copy the file again.") -> FileCheck:
    return FileCheck(problems=(Problem(path, kind, text, remedy),))


def _is_text(path: Path) -> str:
    """Return the first words of a text file; empty for any other file."""
    with path.open("rb") as file:
        head = file.read(512)
    try:
        words = head.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return " ".join(words.split())[:30] if all(c.isprintable() or c.isspace() for c in words) else ""
