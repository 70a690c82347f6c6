"""Live sound for the page: one stream from the service for each machine, passed on to every listener."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.quality import QualityLimits, level_dbfs
from asd_agent.errors import AsdError
from asd_agent.features.log_mel import FeatureSpec, log_mel, mel_centres
from asd_agent.web.service_client import RefusedError, ServiceClient

SPEC = FeatureSpec(n_fft=1024, hop_length=512, n_mels=64, center=False)
LOWEST_DB = -100.0
STEP_DB = 0.5
"""Decibels of one step of a band's byte: 255 steps reach from -100 dB to 27 dB, above full scale."""
MOST_LISTENERS = 16
"""Streams of columns and of sound together; a browser that also plays the sound has two."""
FIRST_PIECES = 12
"""Pieces from the past that a listener gets at once: Chromium plays only when it holds about 200 kB, which is 6 s."""
QUEUE_PIECES = 16
"""Pieces that wait for a slow reader; then the oldest is left out."""
RETRY_SECONDS = 2.0
_TICKS_HZ = (250, 500, 1000, 2000, 4000)
_CLIP_LEVEL = QualityLimits().clip_level


@dataclass(frozen=True)
class SoundPiece:
    """Half a second of sound, or the reason why there is none.

    Attributes:
        message: What the page shows, as JSON.
        pcm: 16-bit samples for a player.
    """

    message: str
    pcm: bytes = b""


class PieceMaker:
    """Computes columns, levels and samples for players from the service's documents."""

    def __init__(self) -> None:
        self._before = np.zeros(0, np.float32)

    def make(self, document: dict[str, Any]) -> SoundPiece:
        """Return the piece of one document of the verb `listen`."""
        shown: dict[str, Any] = {key: document.get(key) for key in ("state", "reason")}
        if document.get("samples") is None:
            return SoundPiece(json.dumps(shown))
        sound = np.frombuffer(base64.b64decode(document["samples"]), "<f4").astype(np.float32)
        sound = np.where(np.isfinite(sound), sound, np.float32(0))
        if document.get("jumped"):
            self._before = self._before[:0]
        whole = np.concatenate((self._before, sound))
        columns = column_bytes(whole)
        self._before = whole[len(columns) * SPEC.hop_length :]
        peak = float(np.abs(sound).max(initial=0.0))
        shown |= {
            "columns": base64.b64encode(columns.tobytes()).decode(),
            "level": round(level_dbfs(sound), 1),
            "peak": round(20.0 * float(np.log10(max(peak, 1e-6))), 1),
            "clipped": peak >= _CLIP_LEVEL,
            "lost": bool(document.get("has_gap") or document.get("jumped")),
        }
        return SoundPiece(json.dumps(shown), np.round(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())


def column_bytes(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return mel columns as bytes, shape (columns, bands); 0 is -100 dB, and a step half a decibel."""
    if len(sound) < SPEC.n_fft:
        return np.zeros((0, SPEC.n_mels), np.uint8)
    steps = (log_mel(sound, SPEC) - LOWEST_DB) / STEP_DB
    return np.asarray(np.clip(np.round(steps), 0, 255).astype(np.uint8))


def wav_head(rate: int = SAMPLE_RATE) -> bytes:
    """Return the head of a WAV file of 16-bit mono sound without an end."""
    endless = (0xFFFFFFFF).to_bytes(4, "little")
    numbers = [(16, 4), (1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2)]
    settings = b"".join(value.to_bytes(size, "little") for value, size in numbers)
    return b"RIFF" + endless + b"WAVEfmt " + settings + b"data" + endless


def frequency_ticks() -> list[tuple[str, float]]:
    """Return labels of the spectrogram's height, each with its share from the bottom."""
    centres = mel_centres(SPEC)
    labels = [(f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz", hz) for hz in _TICKS_HZ]
    return [
        (text, (float(np.interp(hz, centres, np.arange(len(centres)))) + 0.5) / len(centres)) for text, hz in labels
    ]


@dataclass
class _Feed:
    """Listeners of one monitor, and the task that reads its sound while there is one."""

    queues: set[asyncio.Queue[SoundPiece]] = field(default_factory=set)
    newest: deque[SoundPiece] = field(default_factory=lambda: deque(maxlen=FIRST_PIECES))
    task: asyncio.Task[None] | None = None


class SoundHub:
    """Reads the sound of a monitor while anybody listens to it.

    Args:
        service: The service's gateway.
    """

    def __init__(self, service: ServiceClient) -> None:
        self._service = service
        self._feeds: dict[str, _Feed] = {}

    def listeners(self) -> int:
        """Return the number of listeners."""
        return sum(len(feed.queues) for feed in self._feeds.values())

    def join(self, monitor: str) -> asyncio.Queue[SoundPiece]:
        """Return a queue of pieces; call `leave` in any case."""
        feed = self._feeds.setdefault(monitor, _Feed())
        queue: asyncio.Queue[SoundPiece] = asyncio.Queue(QUEUE_PIECES)
        for piece in feed.newest:
            queue.put_nowait(piece)
        feed.queues.add(queue)
        if feed.task is None:
            feed.task = asyncio.create_task(self._read(monitor, feed))
        return queue

    def leave(self, monitor: str, queue: asyncio.Queue[SoundPiece]) -> None:
        """End a listener; without any, the service is no longer asked."""
        feed = self._feeds[monitor]
        feed.queues.discard(queue)
        if not feed.queues:
            del self._feeds[monitor]
            if feed.task is not None:
                feed.task.cancel()

    async def _read(self, monitor: str, feed: _Feed) -> None:
        while True:
            maker = PieceMaker()
            try:
                async for document in self._service.stream("listen", monitor=monitor):
                    _send(feed, maker.make(document))
            except RefusedError as error:
                _send(feed, SoundPiece(json.dumps({"refused": str(error)})))
            except AsdError as error:
                _send(feed, SoundPiece(json.dumps({"away": str(error)})))
            feed.newest.clear()
            await asyncio.sleep(RETRY_SECONDS)


def _send(feed: _Feed, piece: SoundPiece) -> None:
    feed.newest.append(piece)
    for queue in feed.queues:
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(piece)
