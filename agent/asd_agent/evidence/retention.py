"""Retention of evidence: a pure plan of what is removed, and the hour meter that its age is counted by.

The hour meter shows for how long the agent has run, over restarts and reboots: no step of a clock changes it. As on a
machine, it stops while the agent is off, so evidence is kept rather too long than too short.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asd_agent.clock import Clock
from asd_agent.whole_files import write_whole

log = logging.getLogger(__name__)

METER = "hours.json"
"""File of the hour meter."""


@dataclass(frozen=True)
class RetentionItem:
    """Stored evidence of one alarm.

    Attributes:
        id: Its id.
        bytes: Size of its files.
        age_seconds: Time that the agent has run since it was stored.
        acknowledged: A person has acknowledged its alarm.
    """

    id: str
    bytes: int
    age_seconds: float
    acknowledged: bool


@dataclass(frozen=True)
class RetentionLimits:
    """Limits of all stored evidence.

    Attributes:
        keep_seconds: Older evidence is removed.
        max_bytes: Size of all evidence together.
        free_bytes: Space of the disk that stays free.
    """

    keep_seconds: float
    max_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class RetentionPlan:
    """Removals, and the answer to new evidence.

    Attributes:
        remove: Ids, in the order of their removal.
        refusal: Reason why new evidence may not be written; empty where it may.
    """

    remove: tuple[str, ...]
    refusal: str = ""


def plan_retention(
    items: Iterable[RetentionItem], limits: RetentionLimits, free: int, incoming: int = 0
) -> RetentionPlan:
    """Choose removals: what is too old; then, for room, acknowledged before other evidence, each the oldest first.

    Nothing is removed in vain: where even an empty folder would not make the room, only acknowledged and too old
    evidence is removed, and the new one is refused.

    Args:
        items: All stored evidence.
        limits: Limits to keep.
        free: Bytes of the disk that are free now.
        incoming: Bytes of new evidence.
    """
    ordered = sorted(items, key=lambda i: (not i.acknowledged, -i.age_seconds, i.id))
    old = [i for i in ordered if i.age_seconds > limits.keep_seconds]
    young = [i for i in ordered if i.age_seconds <= limits.keep_seconds]
    stored, room = sum(i.bytes for i in young), free + sum(i.bytes for i in old)
    refusal = _refusal(limits, room + stored, incoming)
    wanted = 0 if refusal else incoming
    remove = [i.id for i in old]
    for item in young:
        crowded = stored + wanted > limits.max_bytes
        scarce = room - wanted < limits.free_bytes
        reachable = room + stored - wanted >= limits.free_bytes
        if not crowded and not (scarce and (reachable or item.acknowledged)):
            break
        remove.append(item.id)
        stored, room = stored - item.bytes, room + item.bytes
    return RetentionPlan(tuple(remove), refusal)


def _refusal(limits: RetentionLimits, most_free: int, incoming: int) -> str:
    if incoming > limits.max_bytes:
        return f"it is larger ({incoming} bytes) than all evidence may be ({limits.max_bytes} bytes)"
    if incoming and most_free - incoming < limits.free_bytes:
        return f"the disk is full: {limits.free_bytes} bytes of it have to stay free"
    return ""


class Hourmeter:
    """Seconds that the agent has run.

    Args:
        folder: Folder of its file.
        clock: The clocks; only the monotonic one is read.
        at_least: Reading in seconds that it must have shown already, since stored evidence bears it.
    """

    def __init__(self, folder: Path, clock: Clock, at_least: float = 0.0) -> None:
        self._path, self._clock = folder / METER, clock
        self._base = max(at_least, self._stored())
        self._since = clock.monotonic()

    def read(self) -> float:
        """Return the reading in seconds."""
        return self._base + self._clock.monotonic() - self._since

    def save(self) -> None:
        """Write the reading to its file.

        Raises:
            OSError: The disk refuses.
        """
        reading = {
            "seconds": round(self.read(), 3),
            "monotonic": self._clock.monotonic(),
            "boot_id": self._clock.boot_id,
        }
        write_whole(self._path, (json.dumps(reading) + "\n").encode())

    def _stored(self) -> float:
        try:
            reading = json.loads(self._path.read_bytes())
            seconds = float(reading["seconds"])
            passed = self._clock.monotonic() - float(reading["monotonic"])
            shown = seconds + (max(0.0, passed) if reading["boot_id"] == self._clock.boot_id else 0.0)
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s); the age of evidence is counted from its newest on", self._path, error)
            return 0.0
        return shown if math.isfinite(shown) else 0.0
