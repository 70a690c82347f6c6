"""What a data set holds, what it permits, and everything that is wrong with its files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal, read_clip
from asd_agent.audio.quality import QualityLimits, constant_share
from asd_agent.bundle.files import file_digest
from asd_agent.errors import AudioError
from asd_trainer.data.clip_windows import WINDOW_SAMPLES, WINDOW_SECONDS
from asd_trainer.data.dataset import DataSet, Problem, scan
from asd_trainer.data.layout import SUFFIXES, Clip, Domain, Label, Split
from asd_trainer.data.permits import permits
from asd_trainer.engine.progress import StageProgress

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
]
BROKEN: frozenset[str] = frozenset({"unreadable", "empty", "truncated", "not_finite", "too_short"})
"""Kinds of problems that stop training or scoring; the others are warnings."""
OTHER_FORMATS = frozenset({".aac", ".aif", ".aiff", ".caf", ".m4a", ".mp3", ".ogg", ".opus", ".wma"})
"""Suffixes of sound that is not read: what compression removes may be what tells a fault."""
LONG_SECONDS = 12.0
"""The longest clip of the official data sets; longer ones are told of."""
_GATHERED = frozenset({"rate", "channels", "too_short", "clipping"})
"""Kinds that whole folders have in common; they are told in one line where many files have the same."""
_GATHERED_ABOVE = 10
_SILENT_RUN_SECONDS, _SILENT_SHARE = 0.02, 0.02
_READ_ERRORS: tuple[tuple[str, Kind], ...] = (
    ("truncated", "truncated"),
    ("NaN", "not_finite"),
    ("holds no samples", "empty"),
)
"""Words of `read_clip`'s errors by which its kinds are told apart; whatever else it says is unreadable."""


@dataclass(frozen=True)
class Look:
    """What opening one file told.

    Attributes:
        seconds: Length; 0 where it cannot be read.
        rate: Hz of the file; 0 where it cannot be read.
        channels: Of the file; 0 where it cannot be read.
        digest: SHA-256 of the file; empty where it cannot be read.
        problems: What is wrong with it.
    """

    seconds: float = 0.0
    rate: int = 0
    channels: int = 0
    digest: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it can be trained on and scored."""
        return not any(p.kind in BROKEN for p in self.problems)


@dataclass(frozen=True)
class Group:
    """Clips of one machine, section, domain, split and label.

    Attributes:
        clips: How many.
        broken: How many of them cannot be used.
        recordings: How many recordings they come from.
        seconds: Length of all that can be read.
        rates: Sampling rates in Hz.
        attributes: Values by name, sorted.
    """

    machine: str
    split: Split
    section: str
    domain: Domain | None
    label: Label | None
    clips: int
    broken: int
    recordings: int
    seconds: float
    rates: tuple[int, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Everything that is known of a data set.

    Attributes:
        root: Its folder.
        groups: In the order of the clips.
        permits: What can be done with it and what cannot, one sentence each.
        problems: What is wrong, by file.
    """

    root: Path
    groups: tuple[Group, ...]
    permits: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def broken(self) -> list[Problem]:
        """The problems that stop training or scoring."""
        return [p for p in self.problems if p.kind in BROKEN]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": 1,
            "data": str(self.root),
            "ok": not self.broken,
            "groups": [{**vars(g), "seconds": round(g.seconds, 3)} for g in self.groups],
            "permits": list(self.permits),
            "problems": [
                {
                    "path": str(p.path),
                    "kind": p.kind,
                    "broken": p.kind in BROKEN,
                    "text": p.text,
                    "remedy": p.remedy,
                }
                for p in self.problems
            ],
        }


def inspect(root: Path, progress: StageProgress | None = None) -> Report:
    """Open every clip of a data set.

    Args:
        root: The folder that holds a folder for each machine.
        progress: Told of each file.

    Raises:
        DataError: There is no such folder, or no clip in it.
    """
    data = scan(root)
    looks: list[Look] = []
    for done, clip in enumerate(data.clips, 1):
        looks.append(look(clip.path))
        if progress:
            progress("clips opened", done, len(data.clips))
    problems = [
        *(p for one in looks for p in one.problems),
        *_duplicates(data.clips, looks),
        *_mislabelled(data.clips),
        *_unseen(root),
        *data.problems,
    ]
    usable = [clip for clip, one in zip(data.clips, looks, strict=True) if one.usable]
    told = (*permits(data.machines, usable), *_long(data, looks))
    problems.sort(key=lambda p: (p.kind not in BROKEN, p.path))
    return Report(root, tuple(_groups(data.clips, looks)), told, tuple(problems))


def look(path: Path) -> Look:
    """Open one file, at its own rate, and judge it."""
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
    return Look(len(audio.samples) / rate, rate, audio.channels_in, digest, problems)


def gathered(problems: Sequence[Problem]) -> list[Problem]:
    """Problems for a person to read: rate, channels or length that many files of a folder share, in one line."""
    many: dict[tuple[Path, str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        own = problem.path if problem.kind not in _GATHERED else problem.path.parent
        many[own, problem.kind, problem.text].append(problem)
    told: list[Problem] = []
    for (folder, kind, text), found in many.items():
        if len(found) <= _GATHERED_ABOVE:
            told += found
        else:
            told.append(Problem(folder, kind, f"each of {len(found)} files {text}", found[0].remedy))
    return told


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
        yield Problem(path, "silence", text, "No microphone is so still: see whether it was plugged in.")


def _broken(path: Path, kind: Kind, text: str, remedy: str = "Record or copy the file again.") -> Look:
    return Look(problems=(Problem(path, kind, text, remedy),))


def _is_text(path: Path) -> str:
    """The first words of a file that is text; empty for one that is not."""
    with path.open("rb") as file:
        head = file.read(512)
    try:
        words = head.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return " ".join(words.split())[:30] if all(c.isprintable() or c.isspace() for c in words) else ""


def _duplicates(clips: Sequence[Clip], looks: Sequence[Look]) -> Iterator[Problem]:
    first: dict[str, Clip] = {}
    for clip, one in zip(clips, looks, strict=True):
        if not one.digest:
            continue
        other = first.setdefault(one.digest, clip)
        if other is not clip:
            crosses = "train" in (clip.split, other.split) and clip.split != other.split
            remedy = "A test clip that was trained on proves nothing: remove one." if crosses else "Remove one of them."
            yield Problem(clip.path, "duplicate", f"has the same content as {other.path}", remedy)


def _mislabelled(clips: Sequence[Clip]) -> Iterator[Problem]:
    for clip in clips:
        if clip.split == "train" and clip.label == "anomaly":
            text = "is anomalous and lies among the training clips: it is not trained on"
            yield Problem(clip.path, "mislabelled", text, "Move it to the test clips.")


def _unseen(root: Path) -> Iterator[Problem]:
    """Sound that lies there and is no clip: links to nowhere, and formats that are not read."""
    for path in sorted(root.rglob("*")):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES and not path.exists():
            yield Problem(path, "unreadable", "is a link to a file that is not there", "Copy the file itself.")
        elif suffix in OTHER_FORMATS:
            yield Problem(path, "format", f"is {suffix} sound, which is not read", "Give wav or flac.")


def _long(data: DataSet, looks: Sequence[Look]) -> Iterator[str]:
    long = Counter(c.machine for c, one in zip(data.clips, looks, strict=True) if one.seconds > LONG_SECONDS)
    for machine, count in sorted(long.items()):
        yield (
            f"{machine}: {count} clips longer than {LONG_SECONDS:g} s: scored in windows; training takes the first "
            f"{WINDOW_SECONDS:g} s of each (`asd-trainer import` cuts long recordings into clips)"
        )


def _groups(clips: Sequence[Clip], looks: Sequence[Look]) -> Iterator[Group]:
    groups: dict[tuple[str, Split, str, Domain | None, Label | None], list[tuple[Clip, Look]]] = {}
    for clip, one in zip(clips, looks, strict=True):
        key = clip.machine, clip.split, clip.section, clip.domain, clip.label
        groups.setdefault(key, []).append((clip, one))
    for key, found in groups.items():
        values: dict[str, set[str]] = defaultdict(set)
        for clip, _ in found:
            for name, value in clip.attributes.items():
                values[name].add(value)
        yield Group(
            *key,
            clips=len(found),
            broken=sum(not one.usable for _, one in found),
            recordings=len({clip.recording for clip, _ in found}),
            seconds=sum(one.seconds for _, one in found),
            rates=tuple(sorted({one.rate for _, one in found if one.rate})),
            attributes={name: tuple(sorted(v)) for name, v in sorted(values.items())},
        )
