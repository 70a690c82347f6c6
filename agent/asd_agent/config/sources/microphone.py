"""Source kind `microphone`: a sound device of this box."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from asd_agent.config.sources.base import Channels, SourceKind


class MicrophoneSettings(SourceKind):
    """A microphone, by a name that survives a reboot."""

    is_live: ClassVar[bool] = True
    capture_module: ClassVar[str] = "asd_agent.audio.microphone"

    kind: Literal["microphone"]
    device: str = Field(min_length=1, max_length=1000)
    channels: Channels = (0,)
    rate: int | None = Field(default=None, ge=8000, le=384_000)
    """Hz to open the device with; by default 16 kHz where the hardware gives that, else a high rate for soxr."""

    @property
    def sample_rate(self) -> int | None:
        """See `SourceKind`."""
        return self.rate

    @property
    def hardware(self) -> str | None:
        """See `SourceKind`."""
        return self.device

    @field_validator("device")
    @classmethod
    def _no_index(cls, value: str) -> str:
        if value.strip().isdigit() or re.search(r"hw:\d", value):
            raise ValueError(
                f"an index ({value[:60]}) changes at the next reboot; `asd-agent devices` lists stable names"
            )
        return value
