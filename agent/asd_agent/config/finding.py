"""What a check found: good or bad, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]
_ORDER: tuple[Level, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `problem` keeps the agent from its work, `warning` may one day, `ok` does not.
        where: The part of the box, or the path of a key in agent.yaml such as `monitors.press.section`.
        what: What was found, in one line.
        remedy: What would be right; empty where nothing is wrong.
    """

    level: Level
    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        said = f"{self.where}: {self.what}"
        return f"{said}. {self.remedy}" if self.remedy else said


def ok(where: str, what: str) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", where, what)


def warning(where: str, what: str, remedy: str) -> Finding:
    """It works, and may not for long or not as wished."""
    return Finding("warning", where, what, remedy)


def problem(where: str, what: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding("problem", where, what, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level of all; `ok` of none."""
    return _ORDER[max((_ORDER.index(f.level) for f in findings), default=0)]
