"""Limits that a broker announces in CONNACK, and what is left out of a message to keep within its packet size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

OVERHEAD_BYTES = 16
"""Fixed header, lengths, message id and properties of a PUBLISH beside its topic and payload, at the most."""
SPARE_IN_ALERTS = ("explanation", "text", "experts", "quality", "evidence")
"""Fields of an alert that may be shortened, the first first; each is emptied to what its schema allows."""
SPARE_IN_HEALTH = (
    "drift",
    "levels",
    "notify",
    "inventory",
    "monitor_states",
    "providers",
    "monitors",
    "sources",
    "versions",
)
"""Parts of the health report that may be left empty, the first first."""


@dataclass(frozen=True)
class BrokerLimits:
    """Limits of one connection.

    Attributes:
        packet_bytes: Largest packet that the broker accepts; None where it sets no limit.
        retain: Whether it keeps retained messages.
        qos: Highest quality of service.
    """

    packet_bytes: int | None = None
    retain: bool = True
    qos: int = 2

    def fits(self, topic: str, payload: str) -> bool:
        """Return whether a publication is small enough."""
        return self.packet_bytes is None or packet_size(topic, payload) <= self.packet_bytes

    def shortened(self, topic: str, payload: str) -> str | None:
        """Return a payload that fits, with parts left out where it must; None where none does."""
        if self.fits(topic, payload):
            return payload
        try:
            document = json.loads(payload)
        except ValueError:
            return None
        schema = document.get("schema") if isinstance(document, dict) else None
        spare = {"asd.alert/1": SPARE_IN_ALERTS, "asd.health/1": SPARE_IN_HEALTH}.get(str(schema), ())
        for name in (n for n in spare if document.get(n)):
            document[name] = _emptied(document[name])
            shorter = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
            if self.fits(topic, shorter):
                return shorter
        return None


def packet_size(topic: str, payload: str) -> int:
    """Return the bytes of a PUBLISH packet, at the most."""
    return len(topic.encode()) + len(payload.encode()) + OVERHEAD_BYTES


def _emptied(value: Any) -> Any:
    """Return an empty object where there is one of many keys, and no text; any other value becomes null."""
    if isinstance(value, str):
        return ""
    return {} if isinstance(value, dict) and not {"text", "verdict", "path", "machine"} & value.keys() else None
