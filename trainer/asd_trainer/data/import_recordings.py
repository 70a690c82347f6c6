"""Long own recordings, cut into clips with the names and folders of DCASE 2021 Task 2; a block is held at a time."""

from __future__ import annotations

import io
import re
import wave
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.quality import QualityLimits, assess
from asd_agent.errors import AudioError, DataError, UsageError
from asd_agent.whole_files import whole_file
from asd_trainer.data.clip_windows import WINDOW_SECONDS
from asd_trainer.data.layout import Domain, Label, Split, parse
from asd_trainer.engine.progress import StageProgress

_WHY = {
    "silence": "digital silence",
    "dc": "a constant offset instead of sound",
    "not_finite": "NaN or infinite samples",
}
_FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Place:
    """Where clips of one kind lie in a data set.

    Attributes:
        out: Root of the data set.
        machine: Machine type; letters, digits and `-`.
        section: Two digits.
        domain: Condition of the recordings.
        split: `train` or `test`.
        label: Training takes normal sound alone.

    Raises:
        UsageError: Something does not fit into a name, or anomalies were to be trained on.
    """

    out: Path
    machine: str
    section: str = "00"
    domain: Domain = "source"
    split: Split = "train"
    label: Label = "normal"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-]+", self.machine):
            raise UsageError(f"machine {self.machine!r} cannot stand in a name", "Use letters, digits and `-`.")
        if not re.fullmatch(r"[0-9]{2}", self.section):
            raise UsageError(f"section {self.section!r} is not two digits", "Write it such as 00 or 01.")
        if self.domain not in ("source", "target"):
            raise UsageError(f"domain {self.domain!r} is not one of source, target")
        if self.split not in ("train", "test"):
            raise UsageError(f"split {self.split!r} is not one of train, test")
        if self.label not in ("normal", "anomaly"):
            raise UsageError(f"label {self.label!r} is not one of normal, anomaly")
        if self.split == "train" and self.label == "anomaly":
            raise UsageError("training takes normal clips alone", "Give anomalous recordings --split test.")

    @property
    def folder(self) -> Path:
        """Where the clips lie."""
        return self.out / self.machine / ("train" if self.split == "train" else f"{self.domain}_test")

    def path(self, number: int, recording: str) -> Path:
        """A clip's file."""
        kind = f"{self.domain}_{self.split}_{self.label}"
        return self.folder / f"section_{self.section}_{kind}_{number:04d}_rec_{recording}.wav"


@dataclass(frozen=True)
class CutRecording:
    """What came of one recording.

    Attributes:
        path: The recording.
        name: Its name among the clips' attributes.
        written: Clips written.
        kept: Clips that were there already.
        told: What was left out or changed, one sentence each.
    """

    path: Path
    name: str
    written: int
    kept: int
    told: tuple[str, ...] = field(default=())


def recording_names(recordings: Sequence[Path]) -> dict[Path, str]:
    """Names that recordings have among the clips' attributes: letters, digits and `-`.

    Raises:
        UsageError: A recording has no such letters in its name, or two of them get the same.
    """
    names: dict[Path, str] = {}
    for path in recordings:
        name = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")
        if not name:
            raise UsageError(f"{path}: no letter or digit in its name", "Rename it.")
        for other in (p for p, n in names.items() if n == name):
            raise UsageError(f"{path} and {other} would both be called {name!r}", "Rename one of them.")
        names[path] = name
    return names


def cut(
    recordings: Sequence[Path],
    place: Place,
    *,
    channel: int | None = None,
    seconds: float = WINDOW_SECONDS,
    progress: StageProgress | None = None,
) -> list[CutRecording]:
    """Cut recordings of any rate and number of channels into clips of 16 kHz, mono, 16 bit.

    Clips that are there already are kept, so that an interrupted call goes on; partial last clips, silent ones and
    ones with NaN are left out.

    Args:
        recordings: Files that libsndfile reads.
        place: Where the clips go.
        channel: Take this channel, counted from 0; None averages all of them.
        seconds: Length of a clip, a window or more.
        progress: Told of the seconds that were read.

    Raises:
        AudioError: A recording cannot be read or has no such channel; nothing was written.
        UsageError: Two recordings have the same name, or clips would be shorter than a window.
        DataError: A clip is there already with other content.
    """
    if not seconds >= WINDOW_SECONDS:
        raise UsageError(f"clips of {seconds:g} s are too short", f"A window has {WINDOW_SECONDS:g} s.")
    names = recording_names(recordings)
    lengths = [_seconds(path, channel) for path in recordings]
    numbers, free = _numbers(place)
    found: list[CutRecording] = []
    for index, (path, name) in enumerate(names.items()):
        first = numbers.get(name, free)

        def told(done: float, before: float = sum(lengths[:index])) -> None:
            if progress:
                progress("seconds read", round(before + done), round(sum(lengths)))

        stream = _Stream(path, channel, seconds)
        written = kept = 0
        for clip in stream.clips():
            fresh = _write(place.path(first + written + kept, name), clip, path)
            written, kept = written + fresh, kept + (not fresh)
            told(stream.read)
        told(lengths[index])
        free = max(free, first + written + kept)
        found.append(CutRecording(path, name, written, kept, tuple(stream.told)))
    return found


class _Stream:
    """One recording as clips, read a second at a time.

    Attributes:
        read: Seconds that were read.
        told: What was left out or changed.
    """

    def __init__(self, path: Path, channel: int | None, seconds: float) -> None:
        self._path, self._channel, self._seconds = path, channel, seconds
        self.read = 0.0
        self.told: list[str] = []
        self._not_finite: Counter[int] = Counter()
        self._clipped: Counter[int] = Counter()

    def clips(self) -> Iterator[Signal]:
        """Clips worth keeping, shape (samples,), 16 kHz."""
        size = round(self._seconds * SAMPLE_RATE)
        held: list[Signal] = []
        number = 0
        for block in self._resampled():
            held.append(block)
            while sum(map(len, held)) >= size:
                joined = np.concatenate(held)
                clip, held = joined[:size], [joined[size:]]
                if self._worth_keeping(clip, number):
                    yield clip
                number += 1
        if left := sum(map(len, held)):
            self.told.append(f"the last {left / SAMPLE_RATE:.1f} s are no whole clip and were left out")

    def _worth_keeping(self, clip: Signal, number: int) -> bool:
        limits = QualityLimits()
        reasons = ["not_finite"] if self._not_finite[number] else list(assess(clip, limits=limits).reasons)
        where = f"{self._clock(number)} to {self._clock(number + 1)}"
        bad = [r for r in reasons if r in _WHY]
        if bad:
            self.told.append(f"{where} was left out: {_WHY[bad[0]]}")
            return False
        share = self._clipped[number] / (self._seconds * self._rate)
        if share > limits.clip_share:
            self.told.append(f"{where} clips: {100 * share:.1f} % of its samples are at full scale")
        return True

    def _clock(self, number: int) -> str:
        return f"{number * self._seconds:g} s"

    def _resampled(self) -> Iterator[Signal]:
        """The chosen signal at 16 kHz, as long as the whole resampled at once."""
        import soxr

        stream = None
        for block in self._blocks():
            if self._rate == SAMPLE_RATE:
                yield block
                continue
            if stream is None:
                stream = soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
            yield stream.resample_chunk(block)
        if stream is not None:
            yield stream.resample_chunk(np.empty(0, np.float32), last=True)

    def _blocks(self) -> Iterator[Signal]:
        """The chosen channel or the mean, finite, at the recording's own rate, a second at a time."""
        import soundfile

        with soundfile.SoundFile(self._path) as file:
            self._rate: int = file.samplerate
            if file.channels > 1 and self._channel is None:
                self.told.append(f"{file.channels} channels were averaged to one")
            if self._rate != SAMPLE_RATE:
                self.told.append(f"resampled from {self._rate} Hz to {SAMPLE_RATE} Hz")
            position = 0
            try:
                for block in file.blocks(self._rate, dtype="float32", always_2d=True):
                    yield self._judged(block, position)
                    position += len(block)
                    self.read = position / self._rate
            except soundfile.SoundFileError:
                pass
            if position < file.frames:
                lacking = (file.frames - position) / self._rate
                self.told.append(f"damaged from {position / self._rate:.1f} s on: {lacking:.1f} s were not read")

    def _judged(self, block: Signal, position: int) -> Signal:
        chosen = block if self._channel is None else block[:, self._channel : self._channel + 1]
        finite = np.isfinite(chosen)
        per_clip = self._seconds * self._rate
        for mask, count in (
            (~finite.all(axis=1), self._not_finite),
            ((np.abs(chosen) >= QualityLimits().clip_level).any(axis=1), self._clipped),
        ):
            numbers, times = np.unique((np.flatnonzero(mask) + position) // per_clip, return_counts=True)
            count.update(dict(zip(numbers.astype(int).tolist(), times.tolist(), strict=True)))
        signal: Signal = np.where(finite, chosen, np.float32(0)).mean(axis=1, dtype=np.float32)
        return signal


def _seconds(path: Path, channel: int | None) -> float:
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path}: cannot be read as audio", "Give wav or flac recordings.") from error
    if channel is not None and not 0 <= channel < info.channels:
        raise AudioError(
            f"{path}: has no channel {channel}, only {info.channels}", f"Use a channel from 0 to {info.channels - 1}."
        )
    return float(info.duration)


def _numbers(place: Place) -> tuple[Mapping[str, int], int]:
    """First number of each recording that has clips there already, and the first number that none has."""
    numbers: dict[str, int] = {}
    free = 0
    for path in place.folder.glob(f"section_{place.section}_*.wav"):
        clip = parse(path)
        if clip is None or (clip.domain, clip.label) != (place.domain, place.label):
            continue
        free = max(free, clip.index + 1)
        if name := clip.attributes.get("rec"):
            numbers[name] = min(clip.index, numbers.get(name, clip.index))
    return numbers, free


def _write(path: Path, clip: Signal, recording: Path) -> bool:
    """Write a clip; False where it is there already.

    Raises:
        DataError: It is there with other content.
    """
    content = _wav(np.clip(np.round(clip * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2"))
    if path.is_file():
        if path.read_bytes() == content:
            return False
        raise DataError(
            f"{path}: is there already with other content than {recording} gives",
            "Import into another folder, or rename the recording.",
        )
    with whole_file(path) as partial:
        partial.write_bytes(content)
    return True


def _wav(samples: npt.NDArray[np.int16]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()
