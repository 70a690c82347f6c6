"""The child's way out: what the device gave, resampled to 16 kHz and written down the pipe by a thread of its own.

The device is read even while the parent does not listen; 30 s wait in between, then the oldest are dropped and
counted.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.protocol import Block, Frame, encode

BUFFER_SECONDS = 30.0


@dataclass(frozen=True)
class Chunk:
    """What one read of the device gave.

    Attributes:
        samples: Shape (samples, channels), at the device's rate.
        first: Index of the first sample at the device's rate.
        end_time: Monotonic seconds at which the last sample was in the air.
        overflow: The device lost sound before it.
    """

    samples: Signal
    first: int
    end_time: float
    overflow: bool = False


class Converter:
    """Turns pieces at the device's rate into blocks at 16 kHz; sound is never smeared across a loss.

    Args:
        rate: The device's rate in Hz.
        channels: Number of channels.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._expected = 0
        self._out = 0
        self._stream: Any = None

    def feed(self, piece: Chunk, *, last: bool = False) -> list[Block]:
        """The blocks that are ready once this piece is in; `last` also gives what the resampler holds back."""
        blocks: list[Block] = []
        jumped = piece.first != self._expected
        if jumped or piece.overflow:
            blocks += self._drain(piece)
            start = math.ceil(piece.first * SAMPLE_RATE / self._rate)
            if jumped:
                self._out = max(start, self._out)
        self._expected = piece.first + len(piece.samples)
        samples = self._resample(piece.samples, last=last)
        if len(samples) or jumped or piece.overflow:
            blocks.append(self._block(samples, piece, overflow=piece.overflow, dropped=jumped))
        return blocks

    def _drain(self, following: Chunk) -> list[Block]:
        """What the resampler still holds of the sound before a loss."""
        if self._stream is None:
            return []
        tail = self._resample(np.zeros((0, self._channels), np.float32), last=True)
        self._stream = None
        if len(tail) == 0:
            return []
        before = Chunk(following.samples[:0], 0, following.end_time - len(following.samples) / self._rate)
        return [self._block(tail, before)]

    def _resample(self, samples: Signal, *, last: bool) -> Signal:
        if self._rate == SAMPLE_RATE:
            return samples
        if self._stream is None:
            import soxr

            self._stream = soxr.ResampleStream(self._rate, SAMPLE_RATE, self._channels, dtype="float32", quality="HQ")
        out: Signal = self._stream.resample_chunk(samples, last=last)
        return out.reshape(-1, self._channels)

    def _block(self, samples: Signal, piece: Chunk, *, overflow: bool = False, dropped: bool = False) -> Block:
        first, self._out = self._out, self._out + len(samples)
        # The resampler holds a few milliseconds back: the last sample out is older than the last one in.
        held = self._expected / self._rate - self._out / SAMPLE_RATE if len(piece.samples) else 0.0
        return Block(samples, first, piece.end_time - held, overflow=overflow, dropped=dropped)


class Sender:
    """A bounded buffer between the thread that reads the device and the one that writes the pipe.

    Args:
        pipe: File descriptor to write to.
        rate: The device's rate in Hz.
        channels: Number of channels.
    """

    def __init__(self, pipe: int, rate: int, channels: int) -> None:
        self._pipe = pipe
        self._converter = Converter(rate, channels)
        self._room = round(BUFFER_SECONDS * rate)
        self._waiting: deque[Chunk] = deque()
        self._samples = 0
        self._some = threading.Condition()
        self._thread = threading.Thread(target=self._pump, name="outlet", daemon=True)
        self._thread.start()

    def put(self, piece: Chunk) -> None:
        """Hand a piece over; never waits."""
        with self._some:
            self._waiting.append(piece)
            self._samples += len(piece.samples)
            overflow = False
            while self._samples > self._room:
                dropped = self._waiting.popleft()
                self._samples -= len(dropped.samples)
                overflow |= dropped.overflow
            if overflow and not self._waiting[0].overflow:
                head = self._waiting[0]
                self._waiting[0] = Chunk(head.samples, head.first, head.end_time, overflow=True)
            self._some.notify()

    def _pump(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._waiting)
                piece = self._waiting.popleft()
                self._samples -= len(piece.samples)
            for block in self._converter.feed(piece):
                send(self._pipe, block)


def send(pipe: int, frame: Frame) -> None:
    """Write a frame, waiting as long as the parent does not read; the process ends when the parent is gone."""
    data = memoryview(encode(frame))
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except OSError:
        os._exit(1)
