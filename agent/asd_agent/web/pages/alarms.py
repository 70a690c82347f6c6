"""Pages of alarms: those that wait for a person, and the history with its filter and its CSV file."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from asd_agent.clock import iso_utc
from asd_agent.web import values
from asd_agent.web.pages.machines import states_of
from asd_agent.web.parts import needs, parts_of

DAYS = (1, 7, 30, 365)
MOST_SHOWN = 200
VERDICTS = ("true", "false", "test", "unclear", "none")
_CSV = (
    "alarm_id", "monitor", "machine", "section", "domain", "raised", "cleared", "acknowledged", "severity",
    "peak_score", "level", "text", "verdict", "label", "note", "evidence_id", "test",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@needs("viewer")
async def alarms(request: Request) -> Response:
    """Show standing, returned and shelved alarms."""
    parts = parts_of(request)
    states = await states_of(parts.service)
    found = sections_of(states)
    template = "part/waiting.html" if request.headers.get("hx-request") == "true" else "alarms.html"
    return parts.page(request, template, states=states, **found)


@needs("viewer")
async def history(request: Request) -> Response:
    """Show past alarms."""
    parts = parts_of(request)
    wanted = _wanted(request)
    found = await parts.service.ask("alarms", limit=MOST_SHOWN, **_query(wanted))
    return parts.page(
        request, "history.html", alarms=found["alarms"], more=found["more"], wanted=wanted,
        monitors=list(parts.monitors), days=DAYS, verdicts=VERDICTS,
    )  # fmt: skip


@needs("viewer")
async def history_csv(request: Request) -> Response:
    """Return past alarms as a CSV file with times in UTC."""
    parts = parts_of(request)
    found = await parts.service.ask("alarms", limit=500, **_query(_wanted(request)))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_CSV)
    for alarm in found["alarms"]:
        times = {
            k: iso_utc(alarm[f"{k}_utc"]) if alarm[f"{k}_utc"] else "" for k in ("raised", "cleared", "acknowledged")
        }
        row = {**alarm, **times}
        writer.writerow([_cell(row.get(key)) for key in _CSV])
    name = f"alarms-{parts.config.agent.name}-{time.strftime('%Y%m%d', time.gmtime())}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def sections_of(states: dict[str, Any]) -> dict[str, Any]:
    """Return the alarms that stand, those that have returned, and the monitors that are shelved."""
    standing, returned, shelved = [], [], []
    for name, state in sorted(states.get("monitors", {}).items()):
        common = {"monitor": name, "machine": state["machine"], "section": state["section"]}
        if state["alarm"] != "normal":
            standing.append(
                {**common, "alarm_id": state["alarm_id"], "state": state["alarm"], "severity": state["severity"],
                 "raised": state["raised_at"], "cleared": None, "score": state["score"], "level": state["threshold"]}
            )  # fmt: skip
        returned += [
            {**common, "alarm_id": r["alarm_id"], "state": "returned", "severity": r["severity"],
             "raised": r["raised_at"], "cleared": r["cleared_at"], "score": None, "level": None}
            for r in state["returned"]
        ]  # fmt: skip
        if state["state"] in {"shelved", "out_of_service"}:
            shelved.append({**common, "state": state["state"], "until": state["shelved_until"]})
    standing.sort(key=lambda a: (a["state"] != "active", a["raised"] or ""))
    returned.sort(key=lambda a: str(a["cleared"]), reverse=True)
    return {"standing": standing, "returned": returned, "shelved": shelved}


def _wanted(request: Request) -> dict[str, Any]:
    asked = request.query_params
    days = asked.get("days", "30")
    return {
        "monitor": asked.get("monitor", ""),
        "verdict": asked.get("verdict", ""),
        "days": int(days) if days.isdigit() and int(days[:5]) in DAYS else 30,
    }


def _query(wanted: dict[str, Any]) -> dict[str, Any]:
    now = time.time()
    return {
        "monitor": wanted["monitor"],
        "verdict": wanted["verdict"],
        "start": now - 86_400.0 * wanted["days"],
        "end": now + 3600.0,
    }


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return values.number(value, 4)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
