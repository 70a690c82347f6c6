"""Import of long recordings: cut into clips with the names and folders of DCASE 2021 Task 2, one block in memory."""

from __future__ import annotations

import io
import re
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, Signal, count_samples, missing_part, read_blocks, read_format, resampler
from asd_agent.audio.quality import QualityLimits, assess
from asd_agent.errors import AudioError, DataError, UsageError
from asd_agent.whole_files import write_whole
from asd_trainer.data.clips import WINDOW_SECONDS
from asd_trainer.data.layout import Domain, Label, Split, parse
from asd_trainer.engine.progress import StageProgress
from asd_trainer.text import counted

RECORDING_MINUTES = 5.0
"""Length that a long recording is divided into, as `asd-agent record` does: a recording is held out as a whole."""
_REASONS = {
    "silence": "digital silence",
    "dc": "a constant offset instead of sound",
    "not_finite": "NaN or infinite samples",
}
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


@dataclass(frozen=True)
class ImportedRecording:
    """Result of importing one file.

    Attributes:
        path: The file.
        name: Its name among the attributes of the clips.
        written: Clips written by this call.
        kept: Clips that existed before.
        parts: Number of recordings that it was divided into.
        notes: Sentences about what was left out or converted.
        problems: Sentences about sound that cannot be read.
    """

    path: Path
    name: str
    written: int = 0
    kept: int = 0
    parts: int = 1
    notes: tuple[str, ...] = field(default=())
    problems: tuple[str, ...] = field(default=())


def recording_names(recordings: Sequence[Path]) -> dict[Path, str]:
    """Return the names of recordings among the attributes of clips: letters, digits and `-`.

    Raises:
        UsageError: A file has no such letters in its name, or two files would get the same name.
    """
    names: dict[Path, str] = {}
    for path in recordings:
        name = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")
        if not name:
            raise UsageError(f"{path}: no letter or digit in its name", "Rename it.")
        for other in (p for p, n in names.items() if _base(n) == _base(name)):
            raise UsageError(f"{path} and {other} would both be called {_base(name)!r}", "Rename one of them.")
        names[path] = name
    return names


def import_recordings(
    recordings: Sequence[Path],
    destination: ClipDestination,
    *,
    channel: int | None = None,
    seconds: float = WINDOW_SECONDS,
    recording_minutes: float = RECORDING_MINUTES,
    progress: StageProgress | None = None,
) -> list[ImportedRecording]:
    """Cut recordings of any rate and number of channels into clips of 16 kHz, mono, 16 bit.

    Clips that exist are kept, so that an interrupted call is resumed. Partial last clips, silent ones and ones with NaN
    are left out. A file that cannot be read, or only in part, is reported; the others are imported.

    Args:
        recordings: wav or flac files.
        destination: Folder and names of the clips.
        channel: Channel to take, counted from 0; None averages all channels.
        seconds: Length of a clip, a window or more.
        recording_minutes: A longer file is divided into recordings of about this length.
        progress: Called with the seconds that were read.

    Raises:
        AudioError: A recording has no such channel; nothing was written.
        UsageError: Two recordings have the same name, or a length is too short.
        DataError: A clip exists with other content or under another name.
    """
    if not seconds >= WINDOW_SECONDS:
        raise UsageError(f"clips of {seconds:g} s are too short", f"A window has {WINDOW_SECONDS:g} s.")
    if not recording_minutes * 60 >= seconds:
        raise UsageError(f"recordings of {recording_minutes:g} min are shorter than a clip", "Give more minutes.")
    names = recording_names(recordings)
    lengths = {path: _seconds(path, channel) for path in recordings}
    numbers = _Numbers(destination)
    found: list[ImportedRecording] = []
    for path, name in names.items():
        before = sum(lengths[p] for p in recordings[: len(found)])

        def report(done: float, before: float = before) -> None:
            if progress:
                progress("seconds read", round(before + done), round(sum(lengths.values())))

        stream = _RecordingStream(path, channel, seconds)
        written = kept = 0
        first, parts = numbers.first(name), max(1, round(lengths[path] / (60 * recording_minutes)))
        if parts > 1 and numbers.whole(name):
            stream.notes.append(
                f"exists as one recording, from an import without parts; to get {parts} recordings, remove its clips"
            )
            parts = 1
        per_part = max(1, round(60 * recording_minutes / seconds))
        skipped: int | None = None
        for position, clip in stream.clips():
            own = name if parts == 1 else f"{name}-b{min(position // per_part, parts - 1)}"
            skipped = position if skipped is None else skipped
            # A clip that is left out leaves its number out: only successive numbers are successive sound.
            fresh = numbers.write(first + position - skipped, own, clip, path)
            written, kept = written + fresh, kept + (not fresh)
            report(stream.read)
        report(lengths[path])
        found.append(ImportedRecording(path, name, written, kept, parts, tuple(stream.notes), tuple(stream.problems)))
    return found


class _RecordingStream:
    """One recording as clips, read block by block.

    Attributes:
        read: Seconds read so far.
        notes: Sentences about what was left out or converted.
        problems: Sentences about sound that cannot be read.
    """

    def __init__(self, path: Path, channel: int | None, seconds: float) -> None:
        self._path, self._channel, self._seconds = path, channel, seconds
        self.read = 0.0
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._not_finite: Counter[int] = Counter()
        self._clipped: Counter[int] = Counter()

    def clips(self) -> Iterator[tuple[int, Signal]]:
        """Yield the clips to keep with their position in the recording, shape (samples,), 16 kHz."""
        size = round(self._seconds * SAMPLE_RATE)
        held: list[Signal] = []
        position = 0
        for block in self._resampled():
            held.append(block)
            while sum(map(len, held)) >= size:
                joined = np.concatenate(held)
                clip, held = joined[:size], [joined[size:]]
                if self._is_usable(clip, position):
                    yield position, clip
                position += 1
        if left := sum(map(len, held)):
            self.notes.append(f"the last {left / SAMPLE_RATE:.1f} s are not a whole clip and were left out")

    def _is_usable(self, clip: Signal, position: int) -> bool:
        limits = QualityLimits()
        reasons = ["not_finite"] if self._not_finite[position] else list(assess(clip, limits=limits).reasons)
        where = f"{self._clock(position)} to {self._clock(position + 1)}"
        bad = [r for r in reasons if r in _REASONS]
        if bad:
            self.notes.append(f"{where} was left out: {_REASONS[bad[0]]}")
            return False
        share = self._clipped[position] / (self._seconds * self._rate)
        if share > limits.clip_share:
            self.notes.append(f"{where} clips: {100 * share:.1f} % of its samples are at full scale")
        return True

    def _clock(self, position: int) -> str:
        return f"{position * self._seconds:g} s"

    def _resampled(self) -> Iterator[Signal]:
        """Yield the chosen signal at 16 kHz, equal to the whole resampled at once."""
        convert = None
        for block in self._blocks():
            if convert is None:
                convert = resampler(self._rate, SAMPLE_RATE, 1)
            yield convert(block[:, None], False)[:, 0]
        if convert is not None:
            yield convert(np.empty((0, 1), np.float32), True)[:, 0]

    def _blocks(self) -> Iterator[Signal]:
        """Yield the chosen channel or the mean, finite, at the rate of the recording."""
        position = 0
        try:
            found = read_format(self._path)
            self._rate: int = found.rate
            if found.channels > 1 and self._channel is None:
                self.notes.append(f"{found.channels} channels were averaged to one")
            if found.rate != SAMPLE_RATE:
                self.notes.append(f"resampled from {found.rate} Hz to {SAMPLE_RATE} Hz")
            second = found.rate * found.channels  # so that no more than a second before damage is lost
            channels = None if self._channel is None else [self._channel]
            for block in read_blocks(self._path, rate=None, channels=channels, block_values=second):
                yield self._mixed(block, position)
                position += len(block)
                self.read = position / found.rate
        except AudioError as error:
            reason = error.what.removeprefix(f"{self._path}: ")
            self.problems.append(reason if position == 0 else f"damaged from {self.read:.1f} s on: {reason}")
            return
        if missing := missing_part(self._path, (found.declared or 0) - position):
            self.problems.append(f"truncated: it ends {missing} early, at {self.read:.1f} s")

    def _mixed(self, block: Signal, position: int) -> Signal:
        finite = np.isfinite(block)
        per_clip = self._seconds * self._rate
        for mask, count in (
            (~finite.all(axis=1), self._not_finite),
            ((np.abs(block) >= QualityLimits().clip_level).any(axis=1), self._clipped),
        ):
            numbers, times = np.unique((np.flatnonzero(mask) + position) // per_clip, return_counts=True)
            count.update(dict(zip(numbers.astype(int).tolist(), times.tolist(), strict=True)))
        signal: Signal = np.where(finite, block, np.float32(0)).mean(axis=1, dtype=np.float32)
        return signal


class _Numbers:
    """Numbers of the clips at a destination, those that exist included."""

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
                base = _base(name)
                self._firsts[base] = min(clip.index, self._firsts.get(base, clip.index))
                if name == base:
                    self._whole.add(name)
        self._free = max(self._taken, default=-1) + 1

    def first(self, name: str) -> int:
        """Return the number of the first clip of a recording."""
        return self._firsts.get(_base(name), self._free)

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


def _base(name: str) -> str:
    """Return the name of a recording without the number of its part."""
    match = _PART.match(name)
    return match["name"] if match else name


def _seconds(path: Path, channel: int | None) -> float:
    """Return the length of a recording in s; 0 where it cannot be read, which its import reports."""
    try:
        found = read_format(path)
    except AudioError:
        return 0.0
    if channel is not None and not 0 <= channel < found.channels:
        raise AudioError(
            f"{path}: has no channel {channel}, only {counted(found.channels, 'channel')}",
            f"Use a channel from 0 to {found.channels - 1}.",
        )
    return count_samples(path) / SAMPLE_RATE


def _wav(samples: npt.NDArray[np.int16]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()
