"""Windows of a source, read and assessed once for all monitors that listen to it at the same time."""

from __future__ import annotations

from collections import deque

from asd_agent.audio.files import Signal
from asd_agent.audio.quality import QualityLimits, SoundQuality, assess
from asd_agent.audio.ring import Missing, Ring

_KEPT = 4
"""Windows that are kept: monitors with the same hop ask for the same one in the same cycle."""
_Key = tuple[int, int, int, QualityLimits]


class SharedWindows:
    """Reads windows of a ring; the last few are kept.

    Args:
        ring: The ring of the source.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._recent: deque[tuple[_Key, tuple[Signal, SoundQuality]]] = deque(maxlen=_KEPT)

    def read(
        self, first: int, samples: int, column: int, limits: QualityLimits
    ) -> tuple[Signal, SoundQuality] | Missing:
        """Return one channel of a window, which nobody may change, and the judgement of its sound.

        Args:
            first: Index of its first sample.
            samples: Its length.
            column: Column of the channel in the ring.
            limits: Limits between the verdicts.

        Returns:
            Samples of shape (samples,) with their judgement; or why the ring does not have them.
        """
        key = first, samples, column, limits
        for kept, window in self._recent:
            if kept == key:
                return window
        found = self._ring.read(first, samples)
        if isinstance(found, Missing):
            return found
        signal = found.samples[:, column].copy()
        signal.flags.writeable = False
        window = signal, assess(signal, has_gap=found.has_gap, limits=limits)
        self._recent.append((key, window))
        return window
