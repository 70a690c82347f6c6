"""What evidence.json says: the alert, where its clip lies in time, what was not heard, and the scores around it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    # A newer agent may have written more.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Span(_Part):
    """A stretch of the clip, in seconds from its start."""

    start: float
    end: float


class FileEntry(_Part):
    """A file that lies beside this one."""

    path: str
    sha256: str
    bytes: int


class ClipEntry(FileEntry):
    """The clip and where it lies in time."""

    rate: int
    """Samples a second."""
    samples: int
    first: int
    """Index of its first sample since the source's start."""
    start: str
    """UTC of its first sample."""
    end: str


class ScoreEntry(_Part):
    """A window that ends within the clip; times in seconds from the clip's start, before it below zero."""

    start: float
    end: float
    verdict: str
    score: float | None
    threshold: float | None


class Record(_Part):
    """The account of one alarm's proof."""

    schema_: Literal["asd.evidence/1"] = Field(default="asd.evidence/1", alias="schema")
    id: str
    agent: str
    monitor: str
    alarm_id: str
    kept_at: str
    """UTC."""
    meter_seconds: float
    """For how long the agent had run, over all restarts, when it was kept; its age is counted from this."""
    alert: dict[str, Any]
    """`raised`, as it was published."""
    window: Span
    """The window that raised the alarm."""
    gaps: tuple[Span, ...]
    """What was not heard; the clip holds zeros there."""
    lacks: tuple[str, ...]
    """Why the clip is shorter than wanted: `beginning` (the sound was not there yet or no longer), `end`."""
    clip: ClipEntry
    picture: FileEntry | None
    """None where it could not be drawn."""
    scores: tuple[ScoreEntry, ...]

    def to_json(self) -> str:
        """The file's content."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"
