"""Numbers and durations as text for people."""

from __future__ import annotations

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds and name of a unit, and of the next smaller one."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the right form.

    Args:
        count: The number.
        noun: Noun in the singular.
        plural: Noun in the plural; by default the singular with an s.

    Examples:
        >>> counted(1, "recording"), counted(0, "clip"), counted(2, "match", "matches")
        ('1 recording', '0 clips', '2 matches')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a duration in the two largest units that matter.

    Examples:
        >>> duration(3.2), duration(75), duration(313), duration(5400), duration(90000)
        ('3 s', '1 min 15 s', '5 min 13 s', '1 h 30 min', '1 d 1 h')
    """
    whole = round(seconds)
    for unit, name, smaller, part in _UNITS:
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"
