"""Page of one alarm: picture, sound, scores around it, who did what; and the files of its evidence."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from asd_agent.web.pages.machines import states_of
from asd_agent.web.parts import needs, parts_of

AROUND_SECONDS = 1800.0
"""Scores that are shown before the alarm and after it."""
POINTS = 1500
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_KINDS = {
    "clip.flac": ("clip", "audio/flac"),
    "picture.png": ("picture", "image/png"),
    "evidence.json": ("record", "application/json"),
    "evidence.zip": ("zip", "application/zip"),
}


@needs("viewer")
async def alarm(request: Request) -> Response:
    """Show one alarm, or the part of it that changes."""
    parts = parts_of(request)
    found = await parts.service.ask("alarm", alarm_id=request.path_params["alarm_id"])
    states = await states_of(parts.service)
    one = found["alarm"]
    state = states.get("monitors", {}).get(one["monitor"])
    settings = parts.monitors.get(one["monitor"])
    template = "part/alarm.html" if request.headers.get("hx-request") == "true" else "alarm.html"
    return parts.page(
        request, template, alarm=one, evidence=found["evidence"], phase=phase_of(one, state), state=state,
        longest=settings.alarm.max_shelve_minutes if settings else 480.0,
    )  # fmt: skip


@needs("viewer")
async def scores(request: Request) -> Response:
    """Return the scores around an alarm, for its chart."""
    parts = parts_of(request)
    one = (await parts.service.ask("alarm", alarm_id=request.path_params["alarm_id"]))["alarm"]
    if one["monitor"] not in parts.monitors:
        return PlainTextResponse(parts.texts("error.monitor_gone"), 404)
    end = min((one["cleared_utc"] or time.time()) + AROUND_SECONDS, time.time())
    start = one["raised_utc"] - AROUND_SECONDS
    found = await parts.service.ask(
        "series", monitor=one["monitor"], start=start, end=max(end, start + 60), points=POINTS
    )
    return json_answer({**found["series"], "start": start, "end": end, "alarms": [mark(one)]})


@needs("viewer")
async def evidence(request: Request) -> Response:
    """Return one file of an alarm's evidence; a range of it where a player asks for that."""
    parts = parts_of(request)
    alarm_id, file = request.path_params["alarm_id"], request.path_params["file"]
    if not _ID.match(alarm_id) or file not in _KINDS:
        return PlainTextResponse("", 404)
    one = (await parts.service.ask("alarm", alarm_id=alarm_id))["alarm"]
    if one["evidence_id"] is None:
        return PlainTextResponse(parts.texts("alarm.no_evidence"), 404)
    kind, media = _KINDS[file]
    _, body = await parts.service.ask_bytes(
        "evidence", monitor=one["monitor"], evidence_id=one["evidence_id"], file=kind
    )
    name = f"{one['monitor']}-{one['evidence_id']}-{file}"
    headers = {
        "Cache-Control": "private, max-age=3600",
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"{'attachment' if 'download' in request.query_params or kind == 'zip' else 'inline'}; "
        f'filename="{name}"',
    }
    return _ranged(request, body, media, headers)


def phase_of(alarm: dict[str, Any], state: dict[str, Any] | None) -> str:
    """Return the phase of an alarm now: `active`, `acknowledged`, `returned`, or `over`."""
    if state is not None:
        if state["alarm_id"] == alarm["alarm_id"] and state["alarm"] != "normal":
            return str(state["alarm"])
        if any(r["alarm_id"] == alarm["alarm_id"] for r in state["returned"]):
            return "returned"
    return "over"


def mark(alarm: dict[str, Any]) -> dict[str, Any]:
    """Return what a chart shows of an alarm."""
    return {
        "id": alarm["alarm_id"],
        "raised": alarm["raised_utc"],
        "cleared": alarm["cleared_utc"],
        "verdict": alarm["verdict"],
    }


def json_answer(document: dict[str, Any]) -> Response:
    """Return a JSON document."""
    return Response(json.dumps(document, allow_nan=False), media_type="application/json")


def _ranged(request: Request, body: bytes, media: str, headers: dict[str, str]) -> Response:
    wanted = re.fullmatch(r"bytes=(\d{1,12})-(\d{0,12})", request.headers.get("range", ""))
    if wanted is None:
        return Response(body, media_type=media, headers=headers)
    start = int(wanted[1])
    end = min(int(wanted[2] or len(body) - 1), len(body) - 1)
    if start > end:
        return Response(b"", 416, {**headers, "Content-Range": f"bytes */{len(body)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
    return Response(body[start : end + 1], 206, media_type=media, headers=headers)
