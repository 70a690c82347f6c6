"""State of every agent on a broker, from its retained messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asd_agent.clock import seconds_of

FILTERS = ("asd/+/status", "asd/+/health", "asd/+/monitor/+/state")
"""Topics that the view is made from."""
SILENT_SECONDS = 120.0
"""Age of a health report beyond which an agent that is online counts as silent; reports come every 30 s."""
_ALARMS = {"active", "acknowledged"}
_DEAF = {"stale", "out_of_service"}


@dataclass
class AgentView:
    """One agent.

    Attributes:
        name: Its name.
        status: `online`, `offline`, or empty before its first message.
        health: Its newest health report.
        monitors: Newest state of each monitor.
        boots: Boot ids and boxes that reported under this name, by the order of their first report.
        reports: Order of the last reports, one entry a change of the box.
    """

    name: str
    status: str = ""
    health: Mapping[str, Any] = field(default_factory=dict)
    monitors: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    boots: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def note_health(self, document: Mapping[str, Any]) -> None:
        """Take a health report."""
        self.health = document
        inventory = document.get("inventory") or {}
        box = f"{inventory.get('machine', '')}/{document.get('boot_id', '')}"
        if box not in self.boots:
            self.boots.append(box)
        if self.reports[-1:] != [box]:
            self.reports = [*self.reports[-3:], box]

    @property
    def duplicate(self) -> bool:
        """True where two boxes use this name: they report in turn, or end each other's connections."""
        machines = {box.partition("/")[0] for box in self.boots} - {""}
        # A box that starts again reports under a new boot id, and never under the old one again.
        alternates = len(self.reports) > 2 and self.reports[-1] == self.reports[-3]
        taken = "another client connects under this agent's name"
        return len(machines) > 1 or alternates or any(taken in str(f) for f in self.faults.values())

    @property
    def faults(self) -> Mapping[str, Any]:
        """Present faults, by part."""
        return self._object("faults")

    def _object(self, name: str) -> Mapping[str, Any]:
        found = self.health.get(name)
        return found if isinstance(found, dict) else {}

    def count(self, states: set[str]) -> int:
        """Return the number of monitors in one of these states."""
        return sum(m.get("state") in states for m in self.monitors.values())

    def age(self, utc: float) -> float | None:
        """Return the age of the newest health report in seconds."""
        try:
            return max(0.0, utc - seconds_of(str(self.health["time"])))
        except (KeyError, ValueError, OverflowError):
            return None

    def state(self, utc: float) -> str:
        """Return the agent's state in one word."""
        if self.duplicate:
            return "duplicate"
        age = self.age(utc)
        if self.status != "online":
            return self.status or "unknown"
        return "silent" if age is None or age > SILENT_SECONDS else "online"

    def well(self, utc: float) -> bool:
        """Return whether it is online, judges everything, and has neither alarm nor fault."""
        return self.state(utc) == "online" and not (self.count(_ALARMS) or self.count(_DEAF) or self.faults)

    def row(self, utc: float) -> dict[str, Any]:
        """Return its row of the table."""
        age = self.age(utc)
        versions, inventory = self.health.get("versions") or {}, self.health.get("inventory") or {}
        bundles = sorted({f"{b['name']} {b['digest'][:8]}" for b in (inventory.get("bundles") or {}).values()})
        return {
            "agent": self.name,
            "state": self.state(utc),
            "monitors": len(self.monitors),
            "alarms": self.count(_ALARMS),
            "not_judged": self.count(_DEAF),
            "faults": len(self.faults),
            "version": versions.get("asd-agent", ""),
            "seen_seconds": None if age is None else round(age),
            "fault_texts": {str(part): str(text) for part, text in self.faults.items()},
            "level_notes": {str(monitor): str(text) for monitor, text in self._object("levels").items()},
            "bundles": bundles,
            "model": inventory.get("model", ""),
            "configuration": inventory.get("configuration", "")[:12],
            "installs_bundles": bool(inventory.get("installs_bundles")),
        }


class FleetView:
    """All agents of a broker; takes messages in any order."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentView] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """Take one message; what is not understood is ignored, an empty one removes what it cleared."""
        parts = topic.split("/")
        if len(parts) < 3 or parts[0] != "asd":
            return
        agent = self.agents.setdefault(parts[1], AgentView(parts[1]))
        if parts[2] == "status":
            agent.status = payload.decode("utf-8", "replace")[:20]
        elif not payload and parts[2] == "monitor" and len(parts) == 5:
            agent.monitors.pop(parts[3], None)
        else:
            self._take_document(agent, parts, payload)
        if not agent.status and not agent.health and not agent.monitors:
            del self.agents[parts[1]]  # its retained messages were cleared

    def rows(self, utc: float) -> list[dict[str, Any]]:
        """Return the table, those with trouble first."""
        agents = sorted(self.agents.values(), key=lambda a: (a.well(utc), a.name))
        return [agent.row(utc) for agent in agents]

    def well(self, utc: float) -> bool:
        """Return whether there is an agent and all are well."""
        return bool(self.agents) and all(agent.well(utc) for agent in self.agents.values())

    @staticmethod
    def _take_document(agent: AgentView, parts: list[str], payload: bytes) -> None:
        try:
            document = json.loads(payload)
        except ValueError:
            return
        if not isinstance(document, dict):
            return
        if parts[2] == "health":
            agent.note_health(document)
        elif parts[2] == "monitor" and len(parts) == 5:
            agent.monitors[parts[3]] = document
