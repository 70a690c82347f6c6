"""Level of a microphone that nobody watches yet, as a stream of documents."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.quality import QualityLimits, level_dbfs
from asd_agent.audio.window_source import open_window_source
from asd_agent.config.model import Config
from asd_agent.config.sources import MicrophoneSettings, SourceKind
from asd_agent.errors import AsdError

PIECE_SAMPLES = SAMPLE_RATE // 2
METER_SECONDS = 300.0
"""Longest stream: a meter that was forgotten closes its microphone."""
_CLIP_LEVEL = QualityLimits().clip_level
_LOWEST_DBFS = -120.0

Chosen = Callable[[dict[str, Any]], tuple[str | None, str | None, int]]


class MicrophoneLevel:
    """Opens one microphone at a time for a level meter; a source of the service is asked for its sound instead.

    Args:
        config: The configuration.
        chosen: Returns source or device and channel of a request.
        place: Held while a microphone is open.
    """

    def __init__(self, config: Config, chosen: Chosen, place: threading.Semaphore) -> None:
        self._config, self._chosen, self._place = config, chosen, place

    def listen(self, document: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Return the stream: `level` and `peak` in dBFS, and `clipped`, twice a second.

        Raises:
            ValueError: The request names no microphone.
        """
        source, device, channel = self._chosen(document)
        if source is not None:
            return self._stream(self._config.paths.state, source, self._config.sources[source], channel)
        try:
            settings = MicrophoneSettings(kind="microphone", device=str(device), channels=(channel,))
        except ValueError as error:
            raise ValueError(f"{str(device)[:100]!r} is no microphone's name") from error
        return self._stream(None, str(device), settings, channel)

    def _stream(
        self, state: Path | None, name: str, settings: SourceKind, channel: int
    ) -> Generator[dict[str, Any], None, None]:
        # The meter of the page before may still be open: its reader has gone, which the next piece shows.
        if not self._place.acquire(timeout=5.0):
            raise AsdError("another microphone's level is shown", "Try again when it is closed.")
        try:
            yield {"level": None, "peak": None, "clipped": False}
            until = time.monotonic() + METER_SECONDS
            windows = open_window_source(state, name, settings, channel)
            try:
                for window in windows.windows(PIECE_SAMPLES):
                    sound = np.where(np.isfinite(window.signal), window.signal, np.float32(0))
                    peak = float(np.abs(sound).max(initial=0.0))
                    yield {
                        "level": round(max(level_dbfs(sound), _LOWEST_DBFS), 1),
                        "peak": round(20.0 * float(np.log10(max(peak, 1e-6))), 1),
                        "clipped": peak >= _CLIP_LEVEL,
                    }
                    if time.monotonic() > until:
                        return
            finally:
                windows.close()
        finally:
            self._place.release()
