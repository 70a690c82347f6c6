"""Page of one machine: scores over hours to years, its alarms, and the replay with another level or rule."""

from __future__ import annotations

import json
import logging
import math
import time
from typing import Any

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from asd_agent.web.pages.alarm import json_answer, mark
from asd_agent.web.pages.machines import shown_state, states_of
from asd_agent.web.parts import needs, parts_of

log = logging.getLogger(__name__)

HOUR, DAY, YEAR = 3600.0, 86_400.0, 366 * 86_400.0
RANGES = {"6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "1y": YEAR, "2y": 2 * YEAR}
REPLAY_DAYS = (1, 3, 7, 14)
POINTS = 1000


@needs("viewer")
async def machine(request: Request) -> Response:
    """Show the page of a monitor."""
    parts = parts_of(request)
    name, settings = parts.monitor(request)
    states = await states_of(parts.service)
    state = states.get("monitors", {}).get(name)
    health = states.get("health") or {}
    return parts.page(
        request, "machine.html", name=name, settings=settings, state=state,
        word=shown_state(state, settings.hop_seconds) if states["running"] else "unknown",
        source=health.get("sources", {}).get(settings.source, {}), drift=health.get("drift", {}).get(name),
        level_note=health.get("levels", {}).get(name),
        ranges=list(RANGES), days=REPLAY_DAYS, level=(state or {}).get("threshold"),
    )  # fmt: skip


@needs("viewer")
async def series(request: Request) -> Response:
    """Return scores and alarms of a stretch of time, for the chart."""
    parts, name = parts_of(request), request.path_params["monitor"]
    start, end = _number(request.query_params, "start"), _number(request.query_params, "end")
    found = await parts.service.ask("series", monitor=name, start=start, end=end, points=POINTS)
    alarms = await parts.service.ask("alarms", monitor=name, start=start, end=end, limit=300)
    marks = [mark(a) for a in alarms["alarms"] if not a["test"]]
    return json_answer({**found["series"], "start": start, "end": end, "alarms": marks})


@needs("viewer")
async def what_if(request: Request) -> Response:
    """Show what another level or rule would have changed."""
    parts, name = parts_of(request), request.path_params["monitor"]
    wanted = _wanted(request.query_params)
    result = await parts.service.ask("replay", monitor=name, **wanted)
    return parts.page(request, "part/what_if.html", base="../", name=name, result=result, wanted=wanted)


@needs("admin")
async def apply_level(request: Request) -> Response:
    """Store a level as a site calibration."""
    parts, name, user = parts_of(request), request.path_params["monitor"], request.state.user
    form = await request.form(max_files=0, max_fields=10)
    if form.get("confirmed") != "yes":
        return PlainTextResponse(parts.texts("what_if.not_confirmed"), 400)
    answer = await parts.service.ask("apply_level", monitor=name, by=user.name, **_wanted(form))
    log.info("%s: raise level %s of monitor %s as site calibration", user.name, answer["level"], name)
    page = parts.page(request, "part/applied.html", base="../", name=name, answer=answer)
    page.headers["HX-Trigger"] = json.dumps({"asd:changed": {}})
    return page


def _wanted(given: QueryParams | FormData) -> dict[str, Any]:
    now, days = time.time(), _number(given, "days")
    return {
        "level": _number(given, "level"),
        "k": int(_number(given, "k")),
        "n": int(_number(given, "n")),
        "start": now - DAY * min(max(days, 0.1), 31.0),
        "end": now,
    }


def _number(given: QueryParams | FormData, key: str) -> float:
    text = str(given.get(key, ""))
    try:
        value = float(text.replace(",", "."))
    except ValueError as error:
        raise ValueError(f"{key}: {text[:20]!r} is no number") from error
    if not math.isfinite(value):
        raise ValueError(f"{key}: {text[:20]!r} is no number")
    return value
