"""Judged windows as a service would give them, for tests of the history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asd_agent.alarm import ScoredWindow

START = 1_800_000_000.0
"""A full hour, seconds since 1970."""


def windows(
    scores: Iterable[float | None], *, start: float = START, hop: float = 5.0, level: float = 4.0, first: int = 0
) -> list[ScoredWindow]:
    """Return windows of ten seconds; None stands for an invalid one."""
    return [
        ScoredWindow(
            index=first + i,
            start=(first + i) * hop,
            end=(first + i) * hop + 10.0,
            utc_start=start + i * hop - 10.0,
            utc_end=start + i * hop,
            verdict="invalid" if score is None else "scored",
            reasons=("gap",) if score is None else (),
            score=score,
            threshold=None if score is None else level,
            clear_level=None if score is None else level - 0.5,
        )
        for i, score in enumerate(scores)
    ]


def named(name: str, items: Sequence[ScoredWindow]) -> list[tuple[str, ScoredWindow]]:
    """Return the windows with their monitor's name."""
    return [(name, item) for item in items]
