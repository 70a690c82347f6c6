"""Protocol from a capture child to its parent: packets down a pipe, each a block of samples or a notice."""

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
"""Bytes; a second of 64 channels at 192 kHz is 49 MB, and no child sends more at a time."""


class PacketError(ValueError):
    """Bytes that are no packets: parent and child are of different versions, or a library printed into the pipe."""


@dataclass(frozen=True)
class Block:
    """Consecutive samples.

    Attributes:
        samples: Shape (samples, channels), full scale ±1, at 16 kHz.
        first: Index of the first sample, counted by the child at 16 kHz, lost ones included.
        end_time: Monotonic time in seconds at which the last sample was in the air.
        overflow: The device lost sound before this block, an unknown number of samples.
        dropped: The child dropped sound before this block; the jump of `first` gives its length.
    """

    samples: Signal
    first: int
    end_time: float
    overflow: bool = False
    dropped: bool = False


@dataclass(frozen=True)
class ChildNotice:
    """Report of a capture child on anything but samples.

    Attributes:
        kind: `opened`, `ended`, `skipped`, `inputs`, or `error`; after the last one the child exits.
        detail: Further fields, by kind.
    """

    kind: str
    detail: dict[str, Any] = field(default_factory=dict)


Packet = Block | ChildNotice


def encode(packet: Packet) -> bytes:
    """Return a packet as bytes."""
    if isinstance(packet, ChildNotice):
        body = json.dumps({"kind": packet.kind, **packet.detail}).encode()
        return _HEADER.pack(_MAGIC, _NOTICE, 0, 0, 0, len(body)) + body
    flags = (OVERFLOW if packet.overflow else 0) | (DROPPED if packet.dropped else 0)
    samples = np.ascontiguousarray(packet.samples, dtype="<f4")
    time_ns = round(packet.end_time * 1e9)
    head = _HEADER.pack(_MAGIC, flags, samples.shape[1], packet.first, time_ns, samples.nbytes)
    return head + samples.tobytes()


class Decoder:
    """Cuts a stream of bytes, fed in parts of any length, back into packets."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Take more bytes and yield the packets that are complete by now.

        Raises:
            PacketError: The bytes are no packets.
        """
        self._kept += data
        while len(self._kept) >= _HEADER.size:
            magic, flags, channels, first, time_ns, size = _HEADER.unpack_from(self._kept)
            if magic != _MAGIC or size > _LARGEST or (channels == 0 and flags != _NOTICE):
                raise PacketError("the capture child sent bytes that are no packet")
            if len(self._kept) < _HEADER.size + size:
                return
            body = bytes(self._kept[_HEADER.size : _HEADER.size + size])
            del self._kept[: _HEADER.size + size]
            if flags == _NOTICE:
                detail = json.loads(body)
                yield ChildNotice(detail.pop("kind"), detail)
            else:
                samples = np.frombuffer(body, dtype="<f4").reshape(-1, channels)
                yield Block(
                    samples, first, time_ns / 1e9, overflow=bool(flags & OVERFLOW), dropped=bool(flags & DROPPED)
                )
