"""Source kind `stream`: sound from the network or from another program, read through ffmpeg."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from asd_agent.config.base import Secret
from asd_agent.config.sources.base import Channels, SourceKind

_SECRET_PART = re.compile(r"(?:^|[?&])[^=&]*(?:pass|pwd|token|secret|key|auth)[^=&]*=", re.IGNORECASE)


class StreamSettings(SourceKind):
    """A stream at a URL, or the output of a command; rate and number of channels must be what is written here."""

    is_live: ClassVar[bool] = True
    capture_module: ClassVar[str] = "asd_agent.audio.stream"
    comes_in_chunks: ClassVar[bool] = True

    kind: Literal["stream"]
    url: str | None = Field(default=None, pattern=r"^(rtsp|http|https|tcp)://[^\s'\"]+$", max_length=2000)
    secret_url: Secret | None = None
    """Place of a URL that holds a password."""
    command: tuple[str, ...] = Field(default=(), max_length=100)
    """Program with its arguments that writes sound to its standard output; no shell."""
    ca: Path | None = None
    """Certificate authority for https; by default those of the operating system."""
    raw: Literal["s16le", "s24le", "s32le", "f32le"] | None = None
    """Format of raw PCM, which has no header; by default ffmpeg recognises the format."""
    stream_rate: int = Field(ge=8000, le=384_000)
    stream_channels: int | None = Field(default=None, ge=1, le=64)
    channels: Channels = (0,)

    @property
    def sample_rate(self) -> int | None:
        """See `SourceKind`."""
        return self.stream_rate

    @property
    def programs(self) -> tuple[str, ...]:
        """See `SourceKind`."""
        return ("ffmpeg", *self.command[:1])

    @property
    def secrets(self) -> dict[str, Secret]:
        """See `SourceKind`."""
        return {} if self.secret_url is None else {"secret_url": self.secret_url}

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if "@" in parts.netloc or _SECRET_PART.search(parts.query):
            raise ValueError("the URL holds a password; write it into a file and name that as 'secret_url: {file: …}'")
        if not parts.hostname:
            raise ValueError("the URL names no host")
        if parts.scheme == "tcp" and not parts.port:
            raise ValueError("a URL of tcp:// needs a port")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> StreamSettings:
        if [self.url is not None, self.secret_url is not None, bool(self.command)].count(True) != 1:
            raise ValueError("give one of 'url', 'secret_url' and 'command'")
        if self.raw is not None and self.secret_url is not None:
            raise ValueError("'raw' goes with 'url' or 'command': raw PCM has no password")
        if self.stream_channels is not None and max(self.channels) >= self.stream_channels:
            raise ValueError(f"'channels' are counted from 0; a stream of {self.stream_channels} has no such channel")
        return self
