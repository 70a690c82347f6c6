"""Normal sound for `calibrate` and `learn`: from recordings, or from a source that is listened to."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal, check_rate, check_whole, full_window, mono_blocks
from asd_agent.audio.machine_gate import with_stops
from asd_agent.audio.recording import continues, held_out_with, operating_condition_of, recording_of
from asd_agent.audio.sound_folders import SUFFIXES, folder_files
from asd_agent.audio.sound_header import read_format
from asd_agent.audio.window_source import SoundWindow, WindowSource
from asd_agent.calibrate.site import SiteSound
from asd_agent.commands.console import MinuteLines, report_error, warn
from asd_agent.errors import AudioError, DataError

if TYPE_CHECKING:
    from rich.progress import Progress

MOST_WINDOWS = 8640
"""A day. Windows stay in memory until all are judged: 0.6 MB each."""


@dataclass
class NormalSound:
    """Windows of normal sound as they are collected; those that cannot be scored are left out and counted.

    Attributes:
        samples: Length of a window.
        level_above_dbfs: The machine runs while its sound is louder than this; None where no gate is set.
        failed: Recordings that could not be read, or only in part; each was reported.
    """

    samples: int
    level_above_dbfs: float | None = None
    failed: int = 0
    _refused: Counter[str] = field(default_factory=Counter)
    _windows: list[Signal] = field(default_factory=list)
    _recordings: list[str] = field(default_factory=list)
    _conditions: list[str] = field(default_factory=list)
    _follows: list[bool] = field(default_factory=list)
    _origin: str = ""
    _remedy: str = "See `asd-agent doctor` for what the source delivers."

    @property
    def left_out(self) -> dict[str, int]:
        """Number of windows that were left out, by reason."""
        return dict(self._refused.most_common())

    def read(self, clips: list[Path], channel: int, bars: Progress) -> str:
        """Take the windows of recordings and return their origin in words.

        A recording that cannot be read, or only in part, is reported, and the others are taken.

        Raises:
            DataError: There is no recording, or a path does not exist.
        """
        found = sound_files(clips)
        for path, recording, goes_on in bars.track(_in_recordings(found, self.samples), description="reading"):
            windows = _windows_of(path, channel, self.samples)
            try:
                end = 0 if goes_on and self._windows else -1
                for _ in self._take(windows, recording, end, operating_condition_of(path.name)):
                    self._check_length()
            except AudioError as error:
                self.failed += 1
                report_error("asd-agent", error)
        self._origin = f"{len(found)} recordings" if len(found) > 1 else str(found[0])
        self._remedy = "Give recordings of the running machine."
        return self._origin

    def listen(self, source: WindowSource, minutes: float, bars: Progress) -> str:
        """Take windows of a source for some minutes, or until it ends, and return its origin in words.

        Raises:
            AudioError: The source delivers nothing.
        """
        count = max(1, round(minutes * 60 * SAMPLE_RATE / self.samples))
        task = bars.add_task(f"listening to {source.where}", total=count)
        lines = MinuteLines(terminal=bars.console.is_terminal)
        lines.write(f"listening to {source.where} for {minutes:g} min")
        try:
            for _ in self._take(source.windows(self.samples), "live"):
                self._check_length()
                bars.update(task, advance=1)
                lines.write(
                    f"{source.where}: {len(self._windows)} of {count} windows, {self._refused.total()} left out"
                )
                if len(self._windows) + self._refused.total() >= count:
                    break
        finally:
            source.close()
        for text in source.skipped:
            self.failed += 1
            report_error("asd-agent", AudioError(text))
        self._origin = source.where
        return source.where

    def whole(self) -> SiteSound:
        """Return what was taken, and report what was left out.

        Raises:
            DataError: No window could be taken.
        """
        if self._refused:
            why = ", ".join(f"{n} for {reason}" for reason, n in self._refused.most_common())
            sys.stderr.write(f"windows left out: {why}\n")
        if not self._windows:
            raise DataError(f"{self._origin}: no window of normal sound could be taken", self._remedy)
        return SiteSound(np.stack(self._windows), self._recordings, self._follows, self._conditions)

    def _take(
        self, candidates: Iterable[SoundWindow], recording: str, end: int = -1, condition: str = ""
    ) -> Iterator[None]:
        for window, quality, stop in with_stops(candidates, self.level_above_dbfs):
            if stop is not None or quality.reasons:
                self._refused[stop or quality.reasons[0]] += 1
            else:
                self._windows.append(window.signal)
                self._recordings.append(recording)
                self._conditions.append(condition)
                self._follows.append(window.first == end)
                end = window.first + self.samples
            yield

    def _check_length(self) -> None:
        if len(self._windows) > MOST_WINDOWS:
            raise DataError(
                f"more than {MOST_WINDOWS} windows of normal sound", "Give at most a day of it: more changes little."
            )


def sound_files(paths: list[Path]) -> list[Path]:
    """Return sound files and those in folders.

    Raises:
        DataError: There is none, or a path does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = folder_files(path)
            found += [p for p in files.files if p.suffix.lower() in SUFFIXES]
            if hidden := [p for p in files.hidden if p.suffix.lower() in SUFFIXES]:
                files_are = "file is" if len(hidden) == 1 else "files are"
                warn(f"{path}: {len(hidden)} hidden sound {files_are} left out, such as {hidden[0].name}")
            for folder, reason in files.closed:
                warn(f"{folder}: cannot be listed ({reason})")
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder", "Give .wav or .flac files, or a folder of them.")
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: holds no recording", "Give .wav or .flac files.")
    return found


def _in_recordings(paths: list[Path], samples: int) -> list[tuple[Path, str, bool]]:
    """Return each file with its recording, and whether it goes on where the file before ends.

    Clips that `record` and `import` cut from one recording belong together by their names.
    """
    found: list[tuple[Path, str, bool]] = []
    before: tuple[Path, str, int] | None = None
    for path in paths:
        place = recording_of(path)
        if place is None:
            found.append((path, str(path), False))
            before = None
            continue
        recording, number = place
        goes_on = before is not None and before[0] == path.parent and continues(recording, number, *before[1:])
        found.append((path, f"{path.parent}/{held_out_with(recording)}", goes_on))
        try:
            form = read_format(path)
        except AudioError:  # reported when it is read
            before = None
            continue
        before = (path.parent, recording, number) if (form.rate, form.declared) == (SAMPLE_RATE, samples) else None
    return found


def _windows_of(path: Path, channel: int, samples: int) -> Iterator[SoundWindow]:
    """Yield the windows of a recording, read in blocks; what is left at its end is no window.

    Raises:
        AudioError: It cannot be read, or only in part; the windows before are good.
    """
    found = read_format(path)
    check_rate(path, found)
    # A recording of one channel is what `record` made of the monitor's own, whatever its number.
    held, first = np.empty(0, np.float32), 0
    for block in mono_blocks(path, channel=channel if found.channels > 1 else None):
        held = np.concatenate([held, block])
        while len(held) >= samples:
            yield SoundWindow(held[:samples].copy(), has_gap=False, first=first)
            held, first = held[samples:], first + samples
    check_whole(path, found, first + len(held))
    if first == 0:
        yield SoundWindow(full_window(path, held, samples), has_gap=False, first=0)
