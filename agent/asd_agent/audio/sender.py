"""Sending side of the capture child: chunks of the device, resampled to 16 kHz and written by a thread of its own.

The device is read even while the parent does not read the pipe: up to 30 s of sound wait in between, then the oldest
are dropped and counted.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE, Converter, Signal, resampler
from asd_agent.audio.protocol import Block, Packet, encode

BUFFER_SECONDS = 30.0
"""As long as the loop of the service may pause before its watchdog counts it as hanging."""


@dataclass(frozen=True)
class Chunk:
    """Samples of one read of the device.

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


class ChunkResampler:
    """Turns chunks at the device's rate into blocks at 16 kHz; sound is never smeared across a loss.

    Args:
        rate: The device's rate in Hz.
        channels: Number of channels.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._expected = 0
        self._out = 0
        self._convert: Converter | None = None

    def feed(self, chunk: Chunk, *, last: bool = False) -> list[Block]:
        """Return the blocks that are ready once this chunk is in; `last` also gives what the resampler holds back."""
        blocks: list[Block] = []
        jumped = chunk.first != self._expected
        if jumped or chunk.overflow:
            blocks += self._drain(chunk)
            start = math.ceil(chunk.first * SAMPLE_RATE / self._rate)
            if jumped:
                self._out = max(start, self._out)
        self._expected = chunk.first + len(chunk.samples)
        samples = self._resample(chunk.samples, last=last)
        if len(samples) or jumped or chunk.overflow:
            blocks.append(self._block(samples, chunk, overflow=chunk.overflow, dropped=jumped))
        return blocks

    def _drain(self, following: Chunk) -> list[Block]:
        """Return what the resampler still holds of the sound before a loss."""
        if self._convert is None or self._rate == SAMPLE_RATE:
            return []
        tail = self._resample(np.zeros((0, self._channels), np.float32), last=True)
        self._convert = None
        if len(tail) == 0:
            return []
        before = Chunk(following.samples[:0], 0, following.end_time - len(following.samples) / self._rate)
        return [self._block(tail, before)]

    def _resample(self, samples: Signal, *, last: bool) -> Signal:
        if self._convert is None:
            self._convert = resampler(self._rate, SAMPLE_RATE, self._channels)
        return self._convert(samples, last)

    def _block(self, samples: Signal, chunk: Chunk, *, overflow: bool = False, dropped: bool = False) -> Block:
        first, self._out = self._out, self._out + len(samples)
        # The resampler holds a few milliseconds back: the last sample out is older than the last one in.
        held = self._expected / self._rate - self._out / SAMPLE_RATE if len(chunk.samples) else 0.0
        return Block(samples, first, chunk.end_time - held, overflow=overflow, dropped=dropped)


_SENDING = threading.Lock()


class Sender:
    """Bounded buffer between the thread that reads the device and the one that writes the pipe.

    Args:
        pipe: File descriptor to write to.
        rate: The device's rate in Hz.
        channels: Number of channels.
    """

    def __init__(self, pipe: int, rate: int, channels: int) -> None:
        self._pipe = pipe
        self._resampler = ChunkResampler(rate, channels)
        self._room = round(BUFFER_SECONDS * rate)
        self._waiting: deque[Chunk] = deque()
        self._samples = 0
        self._some = threading.Condition()
        self._thread = threading.Thread(target=self._send_all, name="sender", daemon=True)
        self._thread.start()

    def put(self, chunk: Chunk) -> None:
        """Hand a chunk over; never waits."""
        with self._some:
            self._waiting.append(chunk)
            self._samples += len(chunk.samples)
            overflow = False
            while self._samples > self._room:
                dropped = self._waiting.popleft()
                self._samples -= len(dropped.samples)
                overflow |= dropped.overflow
            if overflow and not self._waiting[0].overflow:
                head = self._waiting[0]
                self._waiting[0] = Chunk(head.samples, head.first, head.end_time, overflow=True)
            self._some.notify()

    def _send_all(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._waiting)
                chunk = self._waiting.popleft()
                self._samples -= len(chunk.samples)
            for block in self._resampler.feed(chunk):
                send(self._pipe, block)


def send(pipe: int, packet: Packet) -> None:
    """Write a packet, waiting as long as the parent does not read; the process ends when the parent is gone."""
    data = memoryview(encode(packet))
    try:
        # Sound and notices come from two threads: the last notice must not begin inside a block.
        with _SENDING:
            while data:
                data = data[os.write(pipe, data) :]
    except OSError:
        os._exit(1)
