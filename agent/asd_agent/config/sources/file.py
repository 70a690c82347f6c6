"""Source kind `file`: recordings on disk, played at the pace of a microphone or faster."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from asd_agent.config.base import FilePath
from asd_agent.config.sources.base import Channels, SourceKind


class FileSettings(SourceKind):
    """A recording or a folder of recordings, played as if a microphone heard it."""

    is_live: ClassVar[bool] = False
    capture_module: ClassVar[str] = "asd_agent.audio.player"

    kind: Literal["file"]
    path: FilePath
    channels: Channels = (0,)
    speed: float = Field(default=1.0, ge=0.001, le=10_000)
    loop: bool = False

    @property
    def playback_speed(self) -> float:
        """See `SourceKind`."""
        return self.speed

    @property
    def ends(self) -> bool:
        """See `SourceKind`."""
        return not self.loop

    @property
    def files(self) -> tuple[Path, ...]:
        """See `SourceKind`."""
        return (self.path,)
