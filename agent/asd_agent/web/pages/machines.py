"""Page of all machines: a tile a monitor, and the health of the box."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from asd_agent.web import values
from asd_agent.web.parts import needs, parts_of
from asd_agent.web.service_client import RefusedError, ServiceAwayError, ServiceClient

DAY = 86_400.0
SPARK_POINTS = 120
SPARK_SECONDS = 30.0
"""Seconds for which the tiles' charts are used again; their points are twelve minutes apart."""
QUIET_HOPS = 6
"""A window older than so many hops is no newest window any more, for monitors on a live source."""
LEAST_QUIET_SECONDS = 90.0
ORDER = ("active", "returned", "acknowledged", "stale", "out_of_service", "unknown", "shelved", "suspended", "normal")


class TileCharts:
    """Series of the tiles, kept for a moment: ten tabs cost one request."""

    def __init__(self) -> None:
        self._read_at, self._charts = float("-inf"), dict[str, Any]()

    async def newest(self, service: ServiceClient, now: float) -> dict[str, Any]:
        """Return the chart of each monitor; none where the service keeps no history."""
        if time.monotonic() - self._read_at >= SPARK_SECONDS:
            try:
                found = await service.ask("overview", start=now - DAY, end=now, points=SPARK_POINTS)
                self._charts = {n: values.spark(s, now - DAY, now) for n, s in found["series"].items()}
            except (RefusedError, ServiceAwayError):
                self._charts = {}
            self._read_at = time.monotonic()
        return self._charts


@needs("viewer")
async def machines(request: Request) -> Response:
    """Show the page, or its tiles alone for a script."""
    parts = parts_of(request)
    states = await states_of(parts.service)
    charts = await request.app.state.charts.newest(parts.service, time.time()) if states["running"] else {}
    tiles = tiles_of(states, parts.monitors, charts)
    template = "part/tiles.html" if request.headers.get("hx-request") == "true" else "machines.html"
    return parts.page(request, template, tiles=tiles, states=states, health=states.get("health"))


async def states_of(service: ServiceClient) -> dict[str, Any]:
    """Return the status document; `running` is false where the service is away."""
    try:
        return await service.ask("states")
    except ServiceAwayError as error:
        return {"running": False, "reason": str(error), "monitors": {}}


def tiles_of(states: dict[str, Any], monitors: Any, charts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tiles, those that need a person first; a monitor that nothing is known of is never normal."""
    health = states.get("health") or {}
    tiles = []
    for name, settings in monitors.items():
        state = states.get("monitors", {}).get(name)
        source = health.get("sources", {}).get(settings.source, {})
        fault = health.get("faults", {}).get(f"monitor {name}", "")
        word = shown_state(state, settings.hop_seconds) if states["running"] else "unknown"
        if state is None and fault:
            word = "out_of_service"
        tiles.append(
            {
                "name": name,
                "word": word,
                "state": state,
                "reason": fault or (state or {}).get("reason") or "",
                "since": _since(state),
                "source": settings.source,
                "source_state": source.get("state"),
                "level_dbfs": source.get("level_dbfs"),
                "drift": health.get("drift", {}).get(name),
                "level_note": health.get("levels", {}).get(name),
                "chart": charts.get(name),
                "section": settings.section,
            }
        )
    return sorted(tiles, key=lambda tile: (ORDER.index(tile["word"]), tile["name"]))


def shown_state(state: dict[str, Any] | None, hop_seconds: float, now: float | None = None) -> str:
    """Return the state to show: a normal one without a recent window is shown as unknown."""
    if state is None:
        return "unknown"
    word = str(state["state"])
    newest = values.seconds(state.get("window_end"))
    quiet = max(LEAST_QUIET_SECONDS, QUIET_HOPS * hop_seconds)
    if word == "normal" and (newest is None or (now or time.time()) - newest > quiet):
        return "unknown"
    return word


def _since(state: dict[str, Any] | None) -> str | None:
    if state is None:
        return None
    if state["state"] == "returned" and state["returned"]:
        return str(state["returned"][-1]["cleared_at"])
    since = state["raised_at"] if state["alarm"] != "normal" else state["last_raised_at"]
    return None if since is None else str(since)
