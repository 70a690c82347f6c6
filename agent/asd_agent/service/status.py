"""The status document: sources, monitors and delivery, for `asd-agent status` and the page."""

from __future__ import annotations

from typing import Any

from asd_agent.clock import ClockReading
from asd_agent.mqtt.mapping import monitor_state_of
from asd_agent.service.health import health_of
from asd_agent.service.loader import LoadedRuntime


def status_of(runtime: LoadedRuntime) -> dict[str, Any]:
    """Return the document; every value is plain JSON."""
    now = ClockReading.read(runtime.clock)
    return {
        "health": health_of(runtime).model_dump(mode="json", by_alias=True),
        "monitors": {
            m.name: monitor_state_of(m.state, m.identity, now).model_dump(mode="json", by_alias=True)
            for m in runtime.monitors.values()
        },
        "monitor_sources": {m.name: m.source.name for m in runtime.monitors.values()},
    }
