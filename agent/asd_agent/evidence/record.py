"""Record of an alarm's evidence, evidence.json: the alert, the clip's times, its gaps, and the scores around it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    # A newer agent may have written more.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Span(_Part):
    """Stretch of the clip, in seconds from its start."""

    start: float
    end: float


class FileEntry(_Part):
    """File in the same folder."""

    path: str
    sha256: str
    bytes: int


class ClipEntry(FileEntry):
    """Clip with its times."""

    rate: int
    """Samples per second."""
    samples: int
    first: int
    """Index of its first sample since the source's start."""
    start: str
    """UTC of its first sample."""
    end: str
    opened_rate: int | None = None
    """Rate in Hz that the source was opened with."""
    resampler: str | None = None
    """Part that converted it to 16 kHz: `none`, `soxr` or `sound server`."""


class ScoreEntry(_Part):
    """Window that ends within the clip; times in seconds from the clip's start, before it below zero."""

    start: float
    end: float
    verdict: str
    score: float | None
    threshold: float | None


class EvidenceRecord(_Part):
    """Record of the evidence of one alarm."""

    schema_: Literal["asd.evidence/1"] = Field(default="asd.evidence/1", alias="schema")
    id: str
    agent: str
    monitor: str
    alarm_id: str
    kept_at: str
    """UTC."""
    meter_seconds: float
    """Time that the agent had run, over all restarts, when it was stored; its age is counted from this."""
    alert: dict[str, Any]
    """`raised`, as it was published."""
    window: Span
    """The window that raised the alarm."""
    gaps: tuple[Span, ...]
    """Stretches that were lost; the clip holds zeros there."""
    lacks: tuple[str, ...]
    """Parts that the clip lacks: `beginning` (the sound was not there yet or no longer), `end`."""
    clip: ClipEntry
    picture: FileEntry | None
    """None where it could not be drawn."""
    scores: tuple[ScoreEntry, ...]

    def to_json(self) -> str:
        """Return the content of the file."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"
