"""Findings of a preflight or a check: good or bad, with the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FindingLevel = Literal["ok", "warning", "problem"]
_ORDER: tuple[FindingLevel, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        level: `problem` keeps the agent from its work, `warning` may do so later, `ok` does not.
        where: Part of the box, or path of a key in agent.yaml such as `monitors.press.section`.
        what: The finding in one line.
        remedy: The way to repair it; empty where nothing is wrong.
    """

    level: FindingLevel
    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}. {self.remedy}" if self.remedy else text


def ok(where: str, what: str) -> Finding:
    """Return the finding that nothing is wrong."""
    return Finding("ok", where, what)


def warning(where: str, what: str, remedy: str) -> Finding:
    """Return the finding that it works, yet maybe not for long or not as wanted."""
    return Finding("warning", where, what, remedy)


def problem(where: str, what: str, remedy: str) -> Finding:
    """Return the finding that it does not work."""
    return Finding("problem", where, what, remedy)


def worst(findings: Iterable[Finding]) -> FindingLevel:
    """Return the gravest level of all; `ok` where there is none."""
    return _ORDER[max((_ORDER.index(f.level) for f in findings), default=0)]
