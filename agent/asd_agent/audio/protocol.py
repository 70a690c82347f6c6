"""What a capture child says to its parent: framed blocks of samples and notices, one after the other down a pipe."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asd_agent.audio.files import Signal

_HEADER = struct.Struct("<4sHHQqI")
"""Magic, flags, channels, first sample, monotonic nanoseconds, size of the body."""
_MAGIC = b"ASD1"
_NOTICE = 0x8000
OVERFLOW = 0x1
"""The device had sound that was not fetched in time."""
DROPPED = 0x2
"""The parent did not read in time and the child's buffer ran over."""
_LARGEST = 64 * 2**20


class FrameError(ValueError):
    """The bytes are no frames: parent and child do not speak the same language."""


@dataclass(frozen=True)
class Block:
    """Samples that follow each other.

    Attributes:
        samples: Shape (samples, channels), full scale ±1, at 16 kHz.
        first: Index of the first sample, counted by the child at 16 kHz, lost ones included.
        end_time: Monotonic time in seconds at which the last sample was in the air.
        overflow: The device lost sound before this block, an unknown number of samples.
        dropped: The child dropped sound before this block; the jump of `first` says how much.
    """

    samples: Signal
    first: int
    end_time: float
    overflow: bool = False
    dropped: bool = False


@dataclass(frozen=True)
class Notice:
    """Something that is no sound.

    Attributes:
        kind: `opened`, `ended`, `skipped`, or `error`; after the last one the child exits.
        detail: What else there is to know.
    """

    kind: str
    detail: dict[str, Any] = field(default_factory=dict)


Frame = Block | Notice


def encode(frame: Frame) -> bytes:
    """A frame as bytes."""
    if isinstance(frame, Notice):
        body = json.dumps({"kind": frame.kind, **frame.detail}).encode()
        return _HEADER.pack(_MAGIC, _NOTICE, 0, 0, 0, len(body)) + body
    flags = (OVERFLOW if frame.overflow else 0) | (DROPPED if frame.dropped else 0)
    samples = np.ascontiguousarray(frame.samples, dtype="<f4")
    time_ns = round(frame.end_time * 1e9)
    head = _HEADER.pack(_MAGIC, flags, samples.shape[1], frame.first, time_ns, samples.nbytes)
    return head + samples.tobytes()


class Decoder:
    """Cuts a stream of bytes, fed in any pieces, back into frames."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take more bytes and give the frames that are whole by now.

        Raises:
            FrameError: The bytes are no frames.
        """
        self._kept += data
        while len(self._kept) >= _HEADER.size:
            magic, flags, channels, first, time_ns, size = _HEADER.unpack_from(self._kept)
            if magic != _MAGIC or size > _LARGEST or (channels == 0 and flags != _NOTICE):
                raise FrameError("the capture child sent something that is no frame")
            if len(self._kept) < _HEADER.size + size:
                return
            body = bytes(self._kept[_HEADER.size : _HEADER.size + size])
            del self._kept[: _HEADER.size + size]
            if flags == _NOTICE:
                detail = json.loads(body)
                yield Notice(detail.pop("kind"), detail)
            else:
                samples = np.frombuffer(body, dtype="<f4").reshape(-1, channels)
                yield Block(
                    samples, first, time_ns / 1e9, overflow=bool(flags & OVERFLOW), dropped=bool(flags & DROPPED)
                )
