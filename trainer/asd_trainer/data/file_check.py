"""Check of one sound file of a data set: readable, whole, long enough, and recorded without faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asd_agent.audio.files import (
    PADDED_SECONDS,
    SAMPLE_RATE,
    Signal,
    check_whole,
    mono_blocks,
    recorded_below,
    surplus_text,
    too_short,
)
from asd_agent.audio.quality import QualityLimits, constant_share
from asd_agent.audio.sound_header import SoundFileError, SoundFormat, read_format
from asd_agent.bundle.files import file_digest
from asd_agent.errors import AudioError
from asd_trainer.data.clips import WINDOW_SAMPLES
from asd_trainer.data.dataset import Problem

Kind = Literal[
    "unreadable",
    "empty",
    "truncated",
    "not_finite",
    "too_short",
    "rate",
    "length",
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
_BLOCK_SECONDS = 10.0
"""Sound that is checked at a time: a recording of hours needs no more memory."""


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
    """Read one file in blocks at its own rate and check it."""
    try:
        found = read_format(path)
        check_whole(path, found)
        digest = file_digest(path)
        sound = _Sound(found.rate)
        for block in mono_blocks(path, rate=None):
            sound.add(path, block)
        sound.end()
        check_whole(path, found, sound.samples, found.rate)
    except AudioError as error:
        kind = error.fault if isinstance(error, SoundFileError) else "unreadable"
        return _broken(path, kind, error.what.removeprefix(f"{path}: "), error.remedy)
    except OSError as error:
        return _broken(path, "unreadable", f"cannot be read ({error.strerror})", "See its permissions and its disk.")
    problems = tuple(_judged(path, found, sound))
    return FileCheck(sound.samples / found.rate, found.rate, found.channels, digest, problems)


class _Sound:
    """Counts of one signal, added block by block.

    Args:
        rate: In Hz.

    Attributes:
        samples: Samples so far.
        clipped: Samples at full scale.
        still: Samples of digital silence.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._held: list[Signal] = []
        self.samples, self.clipped, self.still = 0, 0, 0.0

    def add(self, path: Path, block: Signal) -> None:
        """Count one block.

        Raises:
            AudioError: It holds NaN or infinite samples.
        """
        if not np.isfinite(block).all():
            text = f"{path}: holds NaN or infinite samples"
            raise SoundFileError("not_finite", text, "Export the recording again as 16-bit PCM.")
        self.samples += len(block)
        self.clipped += int(np.count_nonzero(np.abs(block) >= QualityLimits().clip_level))
        self._held.append(block)
        if sum(map(len, self._held)) >= _BLOCK_SECONDS * self._rate:
            self.end()

    def end(self) -> None:
        """Count the silence of what was held back: blocks may be shorter than the silence that counts."""
        if self._held:
            joined = np.concatenate(self._held)
            run = round(_SILENT_RUN_SECONDS * self._rate)
            self.still += len(joined) * constant_share(joined, run, QualityLimits().clip_level)
            self._held = []


def _judged(path: Path, found: SoundFormat, sound: _Sound) -> Iterator[Problem]:
    rate, channels = found.rate, found.channels
    if round(sound.samples * SAMPLE_RATE / rate) < WINDOW_SAMPLES - PADDED_SECONDS * SAMPLE_RATE:
        text = f"is too short: {too_short(sound.samples, rate, WINDOW_SAMPLES)}"
        yield Problem(path, "too_short", text, "Leave it out or record longer.")
    if rate < SAMPLE_RATE:
        yield Problem(path, "rate", recorded_below(rate), f"Record at {SAMPLE_RATE} Hz or more.")
    elif rate != SAMPLE_RATE:
        yield Problem(path, "rate", f"has a rate of {rate} Hz and will be resampled to {SAMPLE_RATE} Hz")
    if channels > 1:
        yield Problem(path, "channels", f"has {channels} channels, which will be averaged to one")
    if found.surplus:
        yield Problem(path, "length", surplus_text(found))
    limits = QualityLimits()
    if sound.clipped > limits.clip_share * sound.samples:
        text = f"clips: more than {100 * limits.clip_share:g} % of its samples are at full scale"
        yield Problem(path, "clipping", text, "Record with less gain.")
    if sound.still > _SILENT_SHARE * sound.samples:
        text = f"is digital silence for {100 * sound.still / sound.samples:.0f} % of its length"
        yield Problem(path, "silence", text, "No microphone is so still: check that it was connected.")


def _broken(path: Path, kind: Kind, text: str, remedy: str = "Record or copy the file again.") -> FileCheck:
    return FileCheck(problems=(Problem(path, kind, text, remedy),))
