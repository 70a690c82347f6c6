"""Actions of people: on one alarm, on many, and on monitors; each is logged with the person's name."""

from __future__ import annotations

import json
import logging
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from asd_agent.web.parts import PageParts, needs, parts_of
from asd_agent.web.service_client import RefusedError
from asd_agent.web.users import User

log = logging.getLogger(__name__)

ACTIONS = ("acknowledge", "shelve", "unshelve", "out_of_service", "verdict")
MOST_AT_ONCE = 100
"""Alarms of one bulk action."""


@needs("operator")
async def act(request: Request) -> Response:
    """Apply an action to the alarms that were picked, or to a monitor."""
    parts, user = parts_of(request), request.state.user
    form = await request.form(max_files=0, max_fields=MOST_AT_ONCE + 20)
    action = str(form.get("action", ""))
    if action not in ACTIONS:
        return PlainTextResponse(parts.texts("error.action"), 400)
    picked = [p.partition("|") for p in map(str, form.getlist("only") or form.getlist("pick"))][:MOST_AT_ONCE]
    targets = [(monitor, alarm_id or None) for monitor, _, alarm_id in picked]
    if not targets:
        return PlainTextResponse(parts.texts("alarms.none_picked"), 400)
    args = _arguments(action, form)
    done, refused = 0, list[str]()
    for monitor, alarm_id in targets:
        text = await _apply(parts, user, monitor, action, {**args, "alarm_id": alarm_id})
        if text is None:
            done += 1
        else:
            refused.append(f"{monitor}: {text}")
    if refused:
        return PlainTextResponse("; ".join(refused)[:1000], 400, _message(""))
    return Response(status_code=204, headers=_message(parts.texts(f"done.{action}", count=done)))


@needs("operator")
async def test_alarm(request: Request) -> Response:
    """Send a test alarm through the whole chain."""
    parts, user = parts_of(request), request.state.user
    form = await request.form(max_files=0, max_fields=5)
    monitor = str(form.get("monitor", ""))
    await parts.service.ask("test_alarm", monitor=monitor, by=user.name)
    log.info("%s sent a test alarm of monitor %s", user.name, monitor)
    return Response(status_code=204, headers=_message(parts.texts("done.test_alarm")))


async def _apply(parts: PageParts, user: User, monitor: str, action: str, args: dict[str, Any]) -> str | None:
    """Apply one action; return the reason where it is refused."""
    given = {key: value for key, value in args.items() if value is not None}
    try:
        answer = await parts.service.ask("action", monitor=monitor, action=action, by=user.name, **given)
    except RefusedError as error:
        return str(error)
    log.info("%s: %s of monitor %s: %s", user.name, action, monitor, answer["text"])
    return None if answer["done"] else str(answer["text"])


def _arguments(action: str, form: FormData) -> dict[str, Any]:
    args: dict[str, Any] = {"note": str(form.get("note", "")).strip() or None}
    if action == "verdict":
        args |= {"verdict": str(form.get("verdict", "")), "label": str(form.get("label", "")).strip() or None}
    if action == "shelve":
        minutes = str(form.get("minutes", ""))
        try:
            args["minutes"] = float(minutes)
        except ValueError as error:
            raise ValueError(f"{minutes[:20]!r} is no number of minutes") from error
    return args


def _message(text: str) -> dict[str, str]:
    """Return the header by which the page's script shows a text and draws the changed parts again."""
    return {"HX-Trigger": json.dumps({"asd:changed": {}, **({"asd:message": {"text": text}} if text else {})})}
