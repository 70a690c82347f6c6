"""Section `monitors` of agent.yaml: what is monitored, by which rules alarms come, and when the machine runs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    field_validator,
    model_validator,
)

from asd_agent.config.base import Name, PathText, Strict, Text
from asd_agent.config.sources.base import MOST_CHANNELS

MOST_MINUTES = 527_040.0
"""A year."""
MOST_NUMBER = 1e15
_PATH_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]{1,6})\]")
_PATH = re.compile(r"\.?(?:[^.\[\]]+|\[[0-9]{1,6}\])(?:\.[^.\[\]]+|\[[0-9]{1,6}\])*")
"""A name, or an index, and then more: `.name` or `[index]`."""


class RaiseAfter(Strict):
    """k windows over the raise level among the last n raise the alarm; written `3 of 4`."""

    k: int = Field(ge=1, le=1000)
    n: int = Field(ge=1, le=1000)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^\s*\d+\s+of\s+\d+\s*$", "examples": ["3 of 4"]}
        return {"anyOf": [text, handler.resolve_ref_schema(handler(core))]}

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, str):
            match = re.fullmatch(r"\s*(\d{1,4})\s+of\s+(\d{1,4})\s*", value, re.ASCII)
            if not match:
                raise ValueError(f"{value[:60]!r} is not of the form '3 of 4'")
            return {"k": int(match[1]), "n": int(match[2])}
        return value

    @model_validator(mode="after")
    def _possible(self) -> RaiseAfter:
        if self.k > self.n:
            raise ValueError(f"{self.k} of {self.n} can never happen: the first number is at most the second")
        return self


class AlarmSettings(Strict):
    """Rules by which scores raise and clear an alarm."""

    raise_after: RaiseAfter = RaiseAfter(k=3, n=4)
    clear_after: int = Field(default=4, ge=1, le=1000)
    """Consecutive windows below the clear level that end the alarm."""
    alarms_per_day: float | None = Field(default=None, ge=0.0001, le=10_000)
    """Wanted false alarms a day, for `asd-agent calibrate`; by default one, or the fewest that the sound supports."""
    realarm_minutes: float | None = Field(default=None, gt=0, le=MOST_MINUTES)
    """Minutes after which an unacknowledged alarm is repeated; by default never."""
    stale_after: int = Field(default=12, ge=1, le=100_000)
    """Consecutive invalid windows after which the monitor is stale."""
    max_shelve_minutes: float = Field(default=480.0, gt=0, le=MOST_MINUTES)
    report_suspensions: bool = False
    """Publish an alert each time that the machine stops; the state shows it either way."""


class LevelGate(Strict):
    """The machine runs while its sound is louder than this."""

    level_above_dbfs: float = Field(ge=-200, le=0)


class TopicGate(Strict):
    """The machine runs while this topic's last message equals a text, or while its number is within a range.

    `json_path` takes the value from a JSON message: names and indices, such as `motor.axes[0].rpm`.
    """

    topic: str = Field(min_length=1, max_length=1000)
    json_path: str | None = Field(default=None, min_length=1, max_length=200)
    equals: Text | None = None
    above: float | None = Field(default=None, ge=-MOST_NUMBER, le=MOST_NUMBER)
    below: float | None = Field(default=None, ge=-MOST_NUMBER, le=MOST_NUMBER)
    timeout_seconds: float | None = Field(default=None, ge=1, le=60 * MOST_MINUTES)
    """Seconds without a message after which nothing is known of the machine; by default the last message holds."""

    @property
    def steps(self) -> tuple[str | int, ...]:
        """Return the names and indices of `json_path`; none for the whole message."""
        found = _PATH_STEP.findall((self.json_path or "").removeprefix("$"))
        return tuple(int(index) if index else name for name, index in found)

    @field_validator("topic")
    @classmethod
    def _is_filter(cls, value: str) -> str:
        """An MQTT topic filter (MQTT 5, section 4.7); anything else would end every connection."""
        levels = value.split("/")
        if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
            raise ValueError(f"{value[:60]!r}: '#' is a level of its own and the last one")
        if any("+" in level and level != "+" for level in levels):
            raise ValueError(f"{value[:60]!r}: '+' is a level of its own")
        if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise ValueError(f"{value[:60]!r} holds a character that no topic may hold")
        return value

    @field_validator("json_path")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None and not _PATH.fullmatch(value.removeprefix("$")):
            raise ValueError(f"{value[:60]!r} is no path: write names and indices, such as 'motor.axes[0].rpm'")
        return value

    @model_validator(mode="after")
    def _one_comparison(self) -> TopicGate:
        numbers = [n for n in (self.above, self.below) if n is not None]
        if (self.equals is None) == (not numbers):
            raise ValueError("give either 'equals', or 'above' and 'below' or one of them")
        if len(numbers) == 2 and numbers[0] >= numbers[1]:
            raise ValueError("'above' is not less than 'below': the machine would never run")
        return self


def _kind_of_gate(value: object) -> str:
    names_topic = isinstance(value, dict) and "topic" in value
    return "topic gate" if names_topic or isinstance(value, TopicGate) else "level gate"


# Of the two kinds only the one that is meant reports mistakes.
Gate = Annotated[
    Annotated[LevelGate, Tag("level gate")] | Annotated[TopicGate, Tag("topic gate")], Discriminator(_kind_of_gate)
]


def _section(value: object) -> object:
    """Check a section: YAML reads 00 without quotes as a number."""
    if isinstance(value, int | str) and not (isinstance(value, str) and re.fullmatch(r"[0-9]{2}", value)):
        shown = f"{value!r:.20}"
        raise ValueError(f'{shown} is no section: write two digits in quotes, such as "00"')
    return value


class MonitorSettings(Strict):
    """Machine, section and domain that is monitored through one channel of one source."""

    source: Name
    channel: int = Field(default=0, ge=0, lt=MOST_CHANNELS)
    bundle: PathText
    section: Annotated[str, BeforeValidator(_section)] = Field(default="00", pattern=r"^\d{2}$")
    domain: Literal["source", "target", "site", "auto"] = "source"
    hop_seconds: float = Field(default=5.0, ge=0.005, le=3600)
    alarm: AlarmSettings = AlarmSettings()
    active_when: Gate | None = None
