"""Login and logout."""

from __future__ import annotations

import asyncio
import logging
import math

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from asd_agent.web.parts import parts_of, relative
from asd_agent.web.sessions import COOKIE, LONGEST_SECONDS
from asd_agent.web.users import LONGEST_PASSWORD

log = logging.getLogger(__name__)

AT_A_TIME = asyncio.Semaphore(2)
"""Passwords that are checked at a time: each takes 32 MiB and a tenth of a second of a core."""


async def show_login(request: Request) -> Response:
    """Show the form."""
    parts = parts_of(request)
    if parts.user(request) is not None:
        return RedirectResponse(relative(request, "./"), 303)
    return parts.page(request, "login.html")


async def log_in(request: Request) -> Response:
    """Check a password and begin a session."""
    parts = parts_of(request)
    form = await request.form(max_files=0, max_fields=10)
    name, password = str(form.get("name", ""))[:64], str(form.get("password", ""))[:LONGEST_PASSWORD]
    address = request.state.address
    keys = (f"address {address}", f"name {name}")
    if (wait := parts.limit.wait(*keys)) > 0:
        text = parts.texts("login.wait", seconds=math.ceil(wait))
        return PlainTextResponse(text, 429, {"Retry-After": str(math.ceil(wait))})
    parts.limit.failed(*keys)  # counted before it is checked: attempts at the same time do not slip through
    async with AT_A_TIME:
        user = await asyncio.to_thread(parts.users.check, name, password)
    if user is None:
        log.warning("wrong password for %r from %s", name, address)
        return PlainTextResponse(parts.texts("login.wrong"), 401)
    parts.limit.passed(*keys)
    parts.sessions.end(request.cookies.get(COOKIE, ""))
    log.info("%s (%s) logged in from %s", user.name, user.role, address)
    answer = PlainTextResponse("", 200, {"HX-Refresh": "true"})
    answer.set_cookie(
        COOKIE,
        parts.sessions.begin(user.name),
        max_age=int(LONGEST_SECONDS),
        path=f"{request.state.prefix}/",
        secure=request.state.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


async def log_out(request: Request) -> Response:
    """End the session."""
    parts = parts_of(request)
    parts.sessions.end(request.cookies.get(COOKIE, ""))
    answer = PlainTextResponse("", 200, {"HX-Refresh": "true"})
    answer.delete_cookie(COOKIE, path=f"{request.state.prefix}/", httponly=True, samesite="strict")
    return answer
