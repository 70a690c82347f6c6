"""Import of long recordings: cut into clips with the names and folders of DCASE 2021 Task 2, one block in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.audio.files import SAMPLE_RATE, check_channel, count_samples
from asd_agent.audio.sound_header import read_format
from asd_agent.errors import AudioError, UsageError
from asd_trainer.data.clip_destination import ClipDestination, ClipNumbers, without_part
from asd_trainer.data.clips import WINDOW_SECONDS
from asd_trainer.data.recording_stream import RecordingStream
from asd_trainer.engine.progress import StageProgress

RECORDING_MINUTES = 5.0
"""Length that a long recording is divided into, as `asd-agent record` does: a recording is held out as a whole."""


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
        for other in (p for p, n in names.items() if without_part(n) == without_part(name)):
            raise UsageError(f"{path} and {other} would both be called {without_part(name)!r}", "Rename one of them.")
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
    numbers = ClipNumbers(destination)
    found: list[ImportedRecording] = []
    for path, name in names.items():
        before = sum(lengths[p] for p in recordings[: len(found)])

        def report(done: float, before: float = before) -> None:
            if progress:
                progress("seconds read", round(before + done), round(sum(lengths.values())))

        stream = RecordingStream(path, channel, seconds)
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


def _seconds(path: Path, channel: int | None) -> float:
    """Return the length of a recording in s; 0 where it cannot be read, which its import reports."""
    try:
        found = read_format(path)
    except AudioError:
        return 0.0
    if channel is not None:
        check_channel(path, found, channel)
    return count_samples(path) / SAMPLE_RATE
