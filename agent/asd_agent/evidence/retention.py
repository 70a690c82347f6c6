"""Which evidence goes when there is too much of it: a pure plan over a listing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One kept evidence.

    Attributes:
        id: Its id.
        bytes: Of its files.
        age_seconds: For how long the agent has run since it was kept.
        acknowledged: Whether a person has taken note of its alarm.
    """

    id: str
    bytes: int
    age_seconds: float
    acknowledged: bool


@dataclass(frozen=True)
class Bounds:
    """How much may be kept.

    Attributes:
        keep_seconds: What is older goes.
        max_bytes: Of all evidence together.
        free_bytes: Of the disk that must stay free.
    """

    keep_seconds: float
    max_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        remove: Ids, in the order in which they go.
        refusal: Why what wants to come in may not be written, in words; empty where it may.
    """

    remove: tuple[str, ...]
    refusal: str = ""


def plan(items: Iterable[Item], bounds: Bounds, free: int, incoming: int = 0) -> Plan:
    """Decide what goes: what is too old; then, for room, the acknowledged before the others, each the oldest first.

    Nothing goes in vain: where even an empty folder would not make the room, only what is acknowledged or too old
    does, and what wants to come in is refused.

    Args:
        items: What is kept.
        bounds: How much may be kept.
        free: Bytes of the disk that are free now.
        incoming: Bytes that want to come in.
    """
    kept = sorted(items, key=lambda i: (not i.acknowledged, -i.age_seconds, i.id))
    old = [i for i in kept if i.age_seconds > bounds.keep_seconds]
    young = [i for i in kept if i.age_seconds <= bounds.keep_seconds]
    held, room = sum(i.bytes for i in young), free + sum(i.bytes for i in old)
    refusal = _refusal(bounds, room + held, incoming)
    wanted = 0 if refusal else incoming
    remove = [i.id for i in old]
    for item in young:
        crowded = held + wanted > bounds.max_bytes
        scarce = room - wanted < bounds.free_bytes
        reachable = room + held - wanted >= bounds.free_bytes
        if not crowded and not (scarce and (reachable or item.acknowledged)):
            break
        remove.append(item.id)
        held, room = held - item.bytes, room + item.bytes
    return Plan(tuple(remove), refusal)


def _refusal(bounds: Bounds, most_free: int, incoming: int) -> str:
    if incoming > bounds.max_bytes:
        return f"it is larger ({incoming} bytes) than all evidence may be ({bounds.max_bytes} bytes)"
    if incoming and most_free - incoming < bounds.free_bytes:
        return f"the disk is full: {bounds.free_bytes} bytes of it have to stay free"
    return ""
