"""Fields of the page's requests, each checked for its kind and bounds."""

from __future__ import annotations

import math
from typing import Any

from asd_agent.alarm.operator import LONGEST_NAME
from asd_agent.config.base import NAME

YEARS = 10 * 366 * 86_400.0
"""Longest stretch of time that a request may name, in seconds."""


def name_field(document: dict[str, Any], key: str) -> str:
    """Return a name: letters, digits, `_`, `-`, and no path.

    Raises:
        ValueError: It is none.
    """
    value = document.get(key)
    if not isinstance(value, str) or len(value) > 128 or not NAME.match(value):
        raise ValueError(f"{key!r} is no name")
    return value


def text_field(document: dict[str, Any], key: str, longest: int, default: str | None = None) -> str:
    """Return a text of bounded length.

    Raises:
        ValueError: It is missing, no text, or too long.
    """
    value = document.get(key, default)
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError(f"{key!r} is text of at most {longest} characters")
    return value


def person_field(document: dict[str, Any]) -> str:
    """Return the name of the person who acts.

    Raises:
        ValueError: It is none.
    """
    by = text_field(document, "by", LONGEST_NAME)
    if not by.strip() or not by.isprintable():
        raise ValueError("'by' names the person who acts")
    return by


def number_field(document: dict[str, Any], key: str, low: float, high: float, default: float | None = None) -> float:
    """Return a finite number within its bounds.

    Raises:
        ValueError: It is none.
    """
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key!r} is a number")
    if not low <= value <= high:
        raise ValueError(f"{key!r} is between {low:g} and {high:g}")
    return float(value)


def stretch_fields(document: dict[str, Any]) -> tuple[float, float]:
    """Return `start` and `end` in seconds since 1970.

    Raises:
        ValueError: They are no times, the end is not after the start, or they are too far apart.
    """
    start, end = number_field(document, "start", 0.0, 1e11), number_field(document, "end", 0.0, 1e11)
    if not start < end <= start + YEARS:
        raise ValueError("'end' is after 'start', and at most ten years")
    return start, end
