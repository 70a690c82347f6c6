"""Page that takes a box from a microphone to a watched machine: choose, record, learn, watch.

It needs the role `admin`. Each step that takes long is a job of the service's gateway, at the lowest priority.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from asd_agent.web.parts import needs, parts_of
from asd_agent.web.service_client import RefusedError, ServiceAwayError

log = logging.getLogger(__name__)

MINUTES = (5, 10, 20, 30, 60, 120)
USUAL_MINUTES = 20
LEAST_MINUTES = 2
"""Shortest recording: `learn` needs ten windows."""
KINDS = ("record", "learn", "add", "remove", "undo")
"""Jobs of this page."""
_NO_STORE = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}


@needs("admin")
async def new_machine(request: Request) -> Response:
    """Show the page, or the part of it that changes."""
    parts = parts_of(request)
    found = await parts.service.ask("new_machine")
    job = found["job"] if found["job"] and found["job"]["kind"] in KINDS else None
    other = found["job"] if found["job"] and found["job"]["state"] == "running" and job is None else None
    if job:
        parts.outdated()  # the machine of a job that has ended has a page at once
    template = "part/new_machine.html" if request.headers.get("hx-request") == "true" else "new_machine.html"
    return parts.page(
        request, template, found=found, draft=found["draft"], job=job, other=other,
        minutes=(LEAST_MINUTES, *MINUTES), usual=USUAL_MINUTES,
    )  # fmt: skip


@needs("admin")
async def inputs(request: Request) -> Response:
    """Show the microphones to choose from."""
    parts = parts_of(request)
    found = await parts.service.ask("inputs")
    return parts.page(request, "part/inputs.html", found=found)


@needs("admin")
async def level(request: Request) -> Response:
    """Stream the level of a microphone as server-sent events."""
    fields = _chosen(request.query_params)
    log.info("%s sees the level of %s", request.state.user.name, fields.get("source") or fields.get("device"))
    return StreamingResponse(_levels(request, fields), media_type="text/event-stream", headers=_NO_STORE)


@needs("admin")
async def choose(request: Request) -> Response:
    """Begin with a microphone and a name."""
    form = await request.form(max_files=0, max_fields=10)
    fields = _chosen({key: str(value) for key, value in form.items()})
    await _ask(request, "choose_machine", name=_text(form, "name"), machine=_text(form, "machine"), **fields)
    return _drawn_again()


@needs("admin")
async def record(request: Request) -> Response:
    """Start to record."""
    form = await request.form(max_files=0, max_fields=5)
    await _ask(request, "record_machine", minutes=_number(form, "minutes"))
    return _changed()


@needs("admin")
async def learn(request: Request) -> Response:
    """Start to learn."""
    form = await request.form(max_files=0, max_fields=5)
    wanted = {"alarms_per_day": _number(form, "alarms_per_day")} if _text(form, "alarms_per_day") else {}
    await _ask(request, "learn_machine", **wanted)
    return _changed()


@needs("admin")
async def add(request: Request) -> Response:
    """Let the service watch the machine."""
    await _ask(request, "add_machine")
    return _changed()


@needs("admin")
async def cancel(request: Request) -> Response:
    """End the job."""
    await _ask(request, "cancel_job")
    return _changed()


@needs("admin")
async def discard(request: Request) -> Response:
    """Give the new machine up."""
    await _ask(request, "discard_machine")
    return _drawn_again()


@needs("admin")
async def remove(request: Request) -> Response:
    """Take an added machine out."""
    form = await request.form(max_files=0, max_fields=5)
    await _ask(request, "remove_machine", monitor=_text(form, "monitor"))
    return _changed()


@needs("admin")
async def undo(request: Request) -> Response:
    """Take the last change of the added machines back."""
    await _ask(request, "undo_machines")
    return _changed()


async def _levels(request: Request, fields: dict[str, Any]) -> AsyncIterator[bytes]:
    texts = parts_of(request).texts
    yield b"retry: 600000\n\n"
    try:
        async for document in parts_of(request).service.stream("microphone_level", **fields):
            yield b"data: " + json.dumps(document).encode() + b"\n\n"
    except RefusedError as error:
        yield b"data: " + json.dumps({"text": str(error)}).encode() + b"\n\n"
    except ServiceAwayError:
        yield b"data: " + json.dumps({"text": texts("new.level_over")}).encode() + b"\n\n"


async def _ask(request: Request, verb: str, **fields: Any) -> None:
    user = request.state.user
    await parts_of(request).service.ask(verb, by=user.name, **fields)
    log.info("%s: %s", user.name, verb)


def _chosen(fields: Any) -> dict[str, Any]:
    """Return source or device and channel of a form's choice, such as `device:hw:CARD=Device`."""
    kind, _, name = str(fields.get("input", "")).partition(":")
    if kind not in {"source", "device"} or not name:
        raise ValueError("choose a microphone")
    channel = str(fields.get("channel", "")) or "0"
    if not channel.isdecimal() or len(channel) > 4:
        raise ValueError(f"{channel[:20]!r} is no channel")
    return {kind: name, "channel": int(channel)}


def _text(form: Any, key: str) -> str:
    return str(form.get(key, "")).strip()


def _number(form: Any, key: str) -> float:
    text = _text(form, key)
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{text[:20]!r} is no number") from error


def _changed() -> Response:
    return Response(status_code=204, headers={"HX-Trigger": json.dumps({"asd:changed": {}})})


def _drawn_again() -> Response:
    return Response(status_code=204, headers={"HX-Refresh": "true"})
