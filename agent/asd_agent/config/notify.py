"""Section `notify` of agent.yaml: the people and services that alarms are sent to."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from asd_agent.config.base import FilePath, Secret, Strict, Text
from asd_agent.config.mqtt import Wait

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_DAY_MINUTES = 24 * 60


class QuietHours(Strict):
    """Hours of the day, by the box's own time zone, in which only severe messages are sent; the others wait."""

    begin: str
    end: str
    except_severity: int = Field(default=1001, ge=1, le=1001)
    """Alarms of this severity and more are sent all the same; 1001 lets none through."""

    @field_validator("begin", "end", mode="before")
    @classmethod
    def _is_time(cls, value: Any) -> Any:
        """A time such as 22:00; YAML reads one without quotation marks as a number of minutes."""
        if isinstance(value, int) and 0 <= value < _DAY_MINUTES:
            return f"{value // 60:02d}:{value % 60:02d}"
        if not isinstance(value, str) or not _TIME.match(value):
            raise ValueError(f"{str(value)[:60]!r} is no time of a day; write it as '22:00'")
        return value

    @model_validator(mode="after")
    def _some(self) -> QuietHours:
        if self.begin == self.end:
            raise ValueError(f"'begin' and 'end' are both {self.begin}; give two times")
        return self

    def holds(self, minute: int) -> bool:
        """Return whether a minute of the day, counted from midnight, is a quiet one."""
        begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in (self.begin, self.end))
        return begin <= minute < end if begin < end else minute >= begin or minute < end


class NotifySettings(Strict):
    """One target of notifications."""

    url: Secret
    """Place of Apprise's URL for the target, such as `ntfys://…` or `mailtos://…`; it holds the password."""
    events: tuple[Text, ...] = Field(
        default=("raised", "escalated", "realarmed", "cleared", "stale", "resumed", "source_lost"), max_length=100
    )
    """Names of alerts and of notices of the agent that are sent; see docs/mqtt.md."""
    least_severity: int = Field(default=1, ge=1, le=1000)
    """Alerts of lower severity are not sent; notices of the agent have none and are."""
    quiet: QuietHours | None = None
    attach: tuple[Literal["picture", "clip"], ...] = Field(default=(), max_length=2)
    """Files of the evidence, sent as soon as it is stored."""
    ca: FilePath | None = None
    """Certificate authority of the target, in PEM; by default the public ones."""
    timeout_seconds: float = Field(default=30.0, ge=1, le=600)
    """Time that one message may take."""
    retry_seconds: tuple[Wait, Wait] = (10.0, 900.0)
    """Shortest and longest wait after a message that failed."""
    keep: int = Field(default=500, ge=1, le=10_000)
    """Messages that may wait for the target; beyond, the oldest are dropped and reported."""

    @field_validator("events")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if not re.fullmatch(r"[a-z_]{1,40}", name)]
        if wrong:
            raise ValueError(f"{wrong[0][:60]!r} is no name of an event")
        return value

    @field_validator("retry_seconds")
    @classmethod
    def _is_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"'retry_seconds' is shortest then longest, not {value[0]}, {value[1]}")
        return value
