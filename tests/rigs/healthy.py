"""A report of how an agent fares, with every number its own, so that none can stand for another."""

from __future__ import annotations

from asd_agent.mqtt.health import Health

WINDOWS = {"due": 10, "scored": 5, "skipped": 2, "suspect": 1, "invalid": 2, "suspended": 1}
SOURCE = {
    "state": "stalled",
    "frames": 160_000,
    "samples": 160_001,
    "gaps": 3,
    "level_dbfs": -30.0,
    "samples_lost": 800,
    "overflows": 4,
    "drops": 5,
    "restarts": 6,
    "wall_steps": 7,
    "drift_ppm": 12.5,
}
HEALTH = Health.model_validate(
    {
        "time": "2027-01-15T08:00:00.000Z",
        "uptime_seconds": 60.0,
        "versions": {"asd-agent": "0.1.0"},
        "providers": {"fan": "CPUExecutionProvider"},
        "sources": {"mic": SOURCE},
        "windows": WINDOWS,
        "monitors": {"press": WINDOWS},
        "outbox": {"depth": 8, "oldest_seconds": 9.0, "dropped": 11, "durable": False},
        "disk_free_bytes": 12,
        "temperature_celsius": 61.0,
        "boot_id": "b",
        "clock": "unsynchronised",
        "faults": {"broker": "MQTT broker b: no such host"},
        "evidence": {"kept": 13, "bytes": 14, "lost": 15},
        "delivery": {"connected": False, "connects": 16, "sent": 17, "late": 18, "refused": 19, "scores_dropped": 20},
        "notify": {
            "shift": {
                "waiting": 21,
                "sent": 22,
                "late": 23,
                "failed": 24,
                "dropped": 25,
                "fault": "x",
                "last_test": None,
            }
        },
    }
)


class HealthyService:
    """A service with this report, as its metrics see it; its complaint may be set."""

    def __init__(self) -> None:
        self.complains = ""

    def health(self) -> Health:
        """Return the report."""
        return HEALTH

    def complaint(self) -> str:
        """Return the complaint."""
        return self.complains
