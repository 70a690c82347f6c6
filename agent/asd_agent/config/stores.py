"""Sections `evidence`, `history` and `paths` of agent.yaml: what is kept, how much of it, and where."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from asd_agent.config.base import FilePath, Strict

MOST_MEGABYTES = 1e9
"""Largest size, a petabyte."""


class EvidenceSettings(Strict):
    """Recordings of alarms, and the limits to keep them within."""

    enabled: bool = True
    pre_seconds: float = Field(default=20.0, ge=0, le=120)
    """Sound before the window that raised the alarm."""
    post_seconds: float = Field(default=10.0, ge=0, le=120)
    """Sound after it."""
    keep_days: float = Field(default=90.0, gt=0, le=36_500)
    """Days that the agent ran; older evidence is removed."""
    max_megabytes: float = Field(default=500.0, gt=0, le=MOST_MEGABYTES)
    """Size of all evidence together, in 10^6 bytes."""
    free_megabytes: float = Field(default=200.0, ge=0, le=MOST_MEGABYTES)
    """Space of the disk that stays free, in 10^6 bytes."""


class HistorySettings(Strict):
    """Scores, levels and alarms over time, and how much of them is kept."""

    enabled: bool = True
    window_days: float = Field(default=14.0, gt=0, le=3660)
    """Days that single windows are kept; a replay needs them."""
    minute_days: float = Field(default=730.0, gt=0, le=36_500)
    """Days that the statistics of minutes, and alarms with their actions, are kept."""
    drift: bool = True
    """Report slow trends of normal scores over weeks."""
    max_megabytes: float = Field(default=500.0, ge=1, le=1_000_000)
    """Size of the history in 10^6 bytes; the oldest windows go first, then the oldest minutes."""


class Paths(Strict):
    """Folders of everything that must survive a restart."""

    state: FilePath = Path("/var/lib/asd-agent")
    bundles: FilePath = Path("/var/lib/asd-agent/bundles")
