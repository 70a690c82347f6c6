"""Page of a machine's calibration: listen to it, see what differs, put it into use, and take it back."""

from __future__ import annotations

import json
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from asd_agent.web.parts import needs, parts_of

log = logging.getLogger(__name__)

MINUTES = (5, 10, 20, 30, 60, 120)
USUAL_MINUTES = 20


@needs("operator")
async def calibrate(request: Request) -> Response:
    """Show the page, or the part of it that changes."""
    parts = parts_of(request)
    name, settings = parts.monitor(request)
    found = await parts.service.ask("calibrations", monitor=name)
    template = "part/calibration.html" if request.headers.get("hx-request") == "true" else "calibrate.html"
    return parts.page(
        request, template, name=name, settings=settings, found=found, job=found["job"],
        minutes=MINUTES, usual=USUAL_MINUTES,
    )  # fmt: skip


@needs("operator")
async def start(request: Request) -> Response:
    """Start to listen."""
    form = await request.form(max_files=0, max_fields=10)
    try:
        minutes = float(str(form.get("minutes", "")))
    except ValueError as error:
        raise ValueError("'minutes' is a number") from error
    await _ask(request, "calibrate", minutes=minutes, with_false_alarms=form.get("false_alarms") == "yes")
    return _changed("")


@needs("operator")
async def cancel(request: Request) -> Response:
    """End the job."""
    await _ask(request, "cancel_job")
    return _changed("")


@needs("admin")
async def use(request: Request) -> Response:
    """Put the new calibration into use."""
    found = await _ask(request, "apply_calibration")
    texts = parts_of(request).texts
    return _changed(texts("calibrate.applied") if found["in_use"] else texts("calibrate.applied_unused"))


@needs("admin")
async def undo(request: Request) -> Response:
    """Take the newest calibration back."""
    found = await _ask(request, "undo_calibration")
    return _changed(parts_of(request).texts("calibrate.undone", left=found["left"]))


async def _ask(request: Request, verb: str, **fields: Any) -> dict[str, Any]:
    name, user = request.path_params["monitor"], request.state.user
    found = await parts_of(request).service.ask(verb, monitor=name, by=user.name, **fields)
    log.info("%s: %s of monitor %s", user.name, verb, name)
    return found


def _changed(text: str) -> Response:
    message = {"asd:message": {"text": text}} if text else {}
    return Response(status_code=204, headers={"HX-Trigger": json.dumps({"asd:changed": {}, **message})})
