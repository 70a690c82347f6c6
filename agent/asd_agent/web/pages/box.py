"""Page of the box: health, the doctor's findings, the newest log lines, versions, the support archive, a test alarm."""

from __future__ import annotations

import logging
import time

from starlette.requests import Request
from starlette.responses import Response

from asd_agent.web.pages.machines import states_of
from asd_agent.web.parts import needs, parts_of

log = logging.getLogger(__name__)

LINES = 200


@needs("viewer")
async def box(request: Request) -> Response:
    """Show the page."""
    parts = parts_of(request)
    states = await states_of(parts.service)
    return parts.page(request, "box.html", states=states, health=states.get("health"), monitors=parts.monitors)


@needs("viewer")
async def doctor(request: Request) -> Response:
    """Run the doctor and show its findings."""
    parts = parts_of(request)
    found = await parts.service.ask("doctor")
    order = {"problem": 0, "warning": 1, "ok": 2}
    findings = sorted(found["findings"], key=lambda f: order[f["level"]])
    return parts.page(request, "part/doctor.html", found=found, findings=findings)


@needs("admin")
async def lines(request: Request) -> Response:
    """Show the newest log lines of the service."""
    parts = parts_of(request)
    found = await parts.service.ask("log")
    return parts.page(request, "part/log.html", lines=found["lines"][-LINES:][::-1])


@needs("admin")
async def support(request: Request) -> Response:
    """Return the support archive."""
    parts, user = parts_of(request), request.state.user
    _, body = await parts.service.ask_bytes("support")
    log.info("%s downloaded a support archive", user.name)
    name = f"asd-support-{parts.config.agent.name}-{time.strftime('%Y%m%d-%H%M', time.gmtime())}.tar.gz"
    return Response(
        body, media_type="application/gzip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
