"""Base class of every kind of source: its settings in agent.yaml, and the properties by which the agent treats it.

The rest of the agent asks for these properties and never for the class, so that a new kind needs no change elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from asd_agent.config.base import Secret, Strict

MOST_CHANNELS = 1024


def _valid_channels(value: tuple[int, ...]) -> tuple[int, ...]:
    if not value or min(value) < 0 or max(value) >= MOST_CHANNELS or len(set(value)) < len(value):
        shown = ", ".join(map(str, value[:10]))
        raise ValueError(f"[{shown}] is no list of different channels, counted from 0, below {MOST_CHANNELS}")
    return value


Channels = Annotated[tuple[int, ...], Field(max_length=MOST_CHANNELS), AfterValidator(_valid_channels)]


class SourceKind(Strict):
    """Settings of one source, of any kind.

    Attributes:
        is_live: The sound arrives in real time and waits for no reader. A recording waits for its readers instead.
        capture_module: Module with `capture(settings, pipe, anchor)`, which the capture child imports and calls.
            It is named and not imported, so that the child starts without pydantic and the agent without PortAudio.
        comes_in_chunks: The sound of a second may arrive all at once, as codecs and networks send it. A device's
            arrives evenly.
    """

    is_live: ClassVar[bool]
    capture_module: ClassVar[str]
    comes_in_chunks: ClassVar[bool] = False

    kind: str
    channels: Channels = (0,)

    @property
    def playback_speed(self) -> float:
        """Seconds of sound that arrive per second; 1 for a live source."""
        return 1.0

    @property
    def ends(self) -> bool:
        """True for a source that is over at some time; the agent ends once all its sources are."""
        return False

    @property
    def sample_rate(self) -> int | None:
        """Rate in Hz that the configuration asks for; None leaves it to the source."""
        return None

    @property
    def hardware(self) -> str | None:
        """Name of the sound device that the source opens; None where it opens none."""
        return None

    @property
    def files(self) -> tuple[Path, ...]:
        """Files and folders that the source reads."""
        return ()

    @property
    def programs(self) -> tuple[str, ...]:
        """Programs of the operating system that the source runs."""
        return ()

    @property
    def secrets(self) -> dict[str, Secret]:
        """Secrets that the source reads, by their keys."""
        return {}
