"""The child's gramophone: a recording, or a folder of them in the order of their names, at the pace of a microphone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.protocol import Block, Notice
from asd_agent.audio.sender import send
from asd_agent.errors import AudioError

_BLOCK_SECONDS = 0.1
_SUFFIXES = {".wav", ".flac"}


def capture(settings: dict[str, Any], pipe: int, anchor: float | None) -> None:
    """See `asd_agent.audio.child.CaptureModule`."""
    play(
        Path(settings["path"]),
        tuple(settings["channels"]),
        settings["speed"],
        pipe,
        loop=settings["loop"],
        anchor=anchor,
    )


def play(path: Path, channels: tuple[int, ...], speed: float, pipe: int, *, loop: bool, anchor: float | None) -> None:
    """Send recordings as if a microphone heard them, then say that they are over.

    Args:
        path: A wav or flac file, or a folder of them.
        channels: Channels to send, counted from 0.
        speed: Seconds of recording a second.
        pipe: File descriptor to write frames to.
        loop: Begin again at the end.
        anchor: Monotonic seconds at which the first sample was played; None plays it now. With an anchor in the
            past the part that would have been played since is passed over.

    Raises:
        AudioError: There is nothing to play.
    """
    recordings = find_recordings(path)
    now = time.monotonic()
    anchor = now if anchor is None else anchor
    send(pipe, Notice("opened", {"device": str(path), "rate": SAMPLE_RATE, "channels": list(channels)}))
    # Faster playback in larger blocks, so that their number a second stays small.
    size = round(SAMPLE_RATE * min(1.0, _BLOCK_SECONDS * max(1.0, speed / 10)))
    first = max(0, round((now - anchor) * speed * SAMPLE_RATE))
    pause = threading.Event()
    for samples in _rechunk(_sound(recordings, channels, pipe, skip=first, loop=loop), size):
        end_time = anchor + (first + len(samples)) / (SAMPLE_RATE * speed)
        pause.wait(max(0.0, end_time - time.monotonic()))
        send(pipe, Block(samples, first, end_time))
        first += len(samples)
    send(pipe, Notice("ended"))


def find_recordings(path: Path) -> list[Path]:
    """The wav and flac files meant by a path, sorted by name.

    Raises:
        AudioError: There is none.
    """
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise AudioError(f"{path}: no recording there", "Give a wav or flac file, or a folder of them.")
    return found


def _sound(recordings: list[Path], channels: tuple[int, ...], pipe: int, *, skip: int, loop: bool) -> Iterator[Signal]:
    """All recordings one after the other at 16 kHz, less the first `skip` samples.

    Those that cannot be read are named and passed over.
    """
    lengths = {path: _length(path) for path in recordings} if skip else {}
    while True:
        played, failure = 0, AudioError(f"{recordings[0]}: holds no samples", "Record or copy it again.")
        for path in recordings:
            if skip and skip >= lengths[path]:
                skip -= lengths[path]
                played += lengths[path]
                continue
            try:
                for samples in _one(path, channels):
                    played += len(samples)
                    passed = min(skip, len(samples))
                    skip -= passed
                    yield samples[passed:]
            except AudioError as error:
                send(pipe, Notice("skipped", {"what": str(error)}))
                failure = error
        if not played:
            raise failure
        if not loop:
            return


def _one(path: Path, channels: tuple[int, ...]) -> Iterator[Signal]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if max(channels) >= file.channels:
                raise AudioError(
                    f"{path}: has no channel {max(channels)}", f"It has channels 0 to {file.channels - 1}."
                )
            convert = _converter(file.samplerate, len(channels))
            while True:
                data = file.read(file.samplerate, dtype="float32", always_2d=True)
                yield convert(np.ascontiguousarray(data[:, list(channels)]), len(data) == 0)
                if len(data) == 0:
                    return
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: not readable as audio", "Copy it again; wav and flac are read.") from error


def _length(path: Path) -> int:
    """Samples at 16 kHz that a recording will give; 0 where it cannot be read."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            return math.ceil(int(file.frames) * SAMPLE_RATE / int(file.samplerate))
    except (soundfile.SoundFileError, RuntimeError):
        return 0


def _converter(rate: int, channels: int) -> Any:
    if rate == SAMPLE_RATE:
        return lambda samples, last: samples  # noqa: ARG005
    import soxr

    stream = soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ")
    return lambda samples, last: stream.resample_chunk(samples, last=last).reshape(-1, channels)


def _rechunk(pieces: Iterator[Signal], size: int) -> Iterator[Signal]:
    """The same samples in pieces of `size`, the last one shorter."""
    kept: list[Signal] = []
    have = 0
    for piece in pieces:
        kept.append(piece)
        have += len(piece)
        if have >= size:
            joined = np.concatenate(kept)
            whole = have - have % size
            yield from (joined[i : i + size] for i in range(0, whole, size))
            kept, have = [joined[whole:]], have - whole
    if have:
        yield np.concatenate(kept)
