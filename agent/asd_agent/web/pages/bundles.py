"""Page of the installed bundles: install a file, and go back to the bundle before. It needs the role `admin`."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from asd_agent.web.parts import needs, parts_of

log = logging.getLogger(__name__)

KINDS = ("install", "rollback")
"""Jobs of this page."""


@needs("admin")
async def bundles(request: Request) -> Response:
    """Show the page, or the part of it that changes."""
    parts = parts_of(request)
    found = await parts.service.ask("bundles")
    job = found["job"] if found["job"] and found["job"]["kind"] in KINDS else None
    template = "part/bundles.html" if request.headers.get("hx-request") == "true" else "bundles.html"
    return parts.page(request, template, found=found, job=job)


@needs("admin")
async def piece(request: Request) -> Response:
    """Take a piece of a bundle's file."""
    offset = str(request.query_params.get("offset", ""))
    if not offset.isdecimal() or len(offset) > 12:
        raise ValueError(f"{offset[:20]!r} is no offset")
    data = base64.b64encode(await request.body()).decode()
    await parts_of(request).service.ask("bundle_piece", offset=int(offset), data=data, by=request.state.user.name)
    return Response(status_code=204)


@needs("admin")
async def install(request: Request) -> Response:
    """Install the file that was sent."""
    form = await request.form(max_files=0, max_fields=5)
    size = str(form.get("size", ""))
    if not size.isdecimal() or len(size) > 12:
        raise ValueError(f"{size[:20]!r} is no size")
    return await _ask(request, "install_bundle", size=int(size), name=str(form.get("name", "")).strip())


@needs("admin")
async def rollback(request: Request) -> Response:
    """Go back to the bundle before."""
    form = await request.form(max_files=0, max_fields=5)
    return await _ask(request, "rollback_bundle", name=str(form.get("name", "")))


@needs("admin")
async def cancel(request: Request) -> Response:
    """End the job."""
    return await _ask(request, "cancel_job")


async def _ask(request: Request, verb: str, **fields: Any) -> Response:
    user = request.state.user
    await parts_of(request).service.ask(verb, by=user.name, **fields)
    log.info("%s: %s", user.name, verb)
    return Response(status_code=204, headers={"HX-Trigger": json.dumps({"asd:changed": {}})})
