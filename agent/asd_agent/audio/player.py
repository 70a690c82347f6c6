"""Capture of source kind `file`: a recording, or a folder of them by name, at the pace of a microphone or faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal, check_rate, check_whole, count_samples, read_blocks
from asd_agent.audio.protocol import Block, ChildNotice
from asd_agent.audio.sender import send
from asd_agent.audio.sound_folders import is_recording
from asd_agent.audio.sound_header import read_format
from asd_agent.errors import AudioError

_BLOCK_SECONDS = 0.1
"""Real time between two blocks: the pace of a microphone that is read in small pieces."""
_FAST = 10.0
"""From this speed on blocks grow with the speed, so that their number per second stays the same."""
_LONGEST_BLOCK_SECONDS = 1.0


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
    """Send recordings as if a microphone recorded them now, then the notice `ended`.

    Args:
        path: A wav or flac file, or a folder of them.
        channels: Channels to send, counted from 0.
        speed: Seconds of recording per second.
        pipe: File descriptor to write packets to.
        loop: Begin again at the end.
        anchor: Monotonic seconds at which the first sample was played; None plays it now. With an anchor in the
            past, sound that would have been played since is skipped.

    Raises:
        AudioError: There is nothing to play.
    """
    recordings = find_recordings(path)
    now = time.monotonic()
    anchor = now if anchor is None else anchor
    send(pipe, ChildNotice("opened", _opened(path, recordings, channels)))
    size = round(SAMPLE_RATE * min(_LONGEST_BLOCK_SECONDS, _BLOCK_SECONDS * max(1.0, speed / _FAST)))
    first = max(0, round((now - anchor) * speed * SAMPLE_RATE))
    pause = threading.Event()
    for samples in _of_size(_all_samples(recordings, channels, pipe, skip=first, loop=loop), size):
        end_time = anchor + (first + len(samples)) / (SAMPLE_RATE * speed)
        pause.wait(max(0.0, end_time - time.monotonic()))
        send(pipe, Block(samples, first, end_time))
        first += len(samples)
    send(pipe, ChildNotice("ended"))


def _opened(path: Path, recordings: list[Path], channels: tuple[int, ...]) -> dict[str, Any]:
    """Return the report on what is played, with the format of the first recording that can be read."""
    for recording in recordings:
        try:
            found = read_format(recording)
        except AudioError:
            continue
        resampler = "none" if found.rate == SAMPLE_RATE else "soxr"
        return {
            "device": str(path),
            "rate": found.rate,
            "channels": list(channels),
            "opened_channels": found.channels,
            "resampler": resampler,
        }
    return {"device": str(path), "rate": SAMPLE_RATE, "channels": list(channels)}


def find_recordings(path: Path) -> list[Path]:
    """Return the wav and flac files that a path names, sorted by name.

    Raises:
        AudioError: There is none, or the folder cannot be read.
    """
    try:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if is_recording(p))
        else:
            found = [path] if path.is_file() else []
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})", "Let the agent's user read it.") from error
    if not found:
        raise AudioError(f"{path}: no recording there", "Give a wav or flac file, or a folder of them.")
    return found


def _all_samples(
    recordings: list[Path], channels: tuple[int, ...], pipe: int, *, skip: int, loop: bool
) -> Iterator[Signal]:
    """Yield all recordings one after the other at 16 kHz, less the first `skip` samples.

    A recording that cannot be read is reported and skipped, one that ends early is played and reported.
    """
    lengths = {path: count_samples(path) for path in recordings} if skip else {}
    while True:
        played, failure = 0, AudioError(f"{recordings[0]}: holds no samples", "Record or copy it again.")
        for path in recordings:
            if skip and skip >= lengths[path]:
                skip -= lengths[path]
                played += lengths[path]
                continue
            try:
                found, own = read_format(path), 0
                check_rate(path, found)
                for samples in read_blocks(path, channels=channels):
                    own, played = own + len(samples), played + len(samples)
                    passed = min(skip, len(samples))
                    skip -= passed
                    yield samples[passed:]
                check_whole(path, found, own)
            except AudioError as error:
                send(pipe, ChildNotice("skipped", {"what": str(error)}))
                failure = error
        if not played:
            raise failure
        if not loop:
            return


def _of_size(chunks: Iterator[Signal], size: int) -> Iterator[Signal]:
    """Yield the same samples in chunks of `size`, the last one shorter."""
    kept: list[Signal] = []
    have = 0
    for chunk in chunks:
        kept.append(chunk)
        have += len(chunk)
        if have >= size:
            joined = np.concatenate(kept)
            whole = have - have % size
            yield from (joined[i : i + size] for i in range(0, whole, size))
            kept, have = [joined[whole:]], have - whole
    if have:
        yield np.concatenate(kept)
