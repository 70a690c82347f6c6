"""The page called in this process, against a gateway whose answers a test makes up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from asd_agent.config.model import Config
from asd_agent.control_client import WEB_SOCKET_NAME
from asd_agent.gateway.server import GatewayAnswer, GatewayServer
from asd_agent.web.app import create_app
from asd_agent.web.users import Role, UserFile

HOST = "box.plant:8480"
EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
"""A text that must reach no page as markup."""


CHANGES = {
    "action", "apply_level", "test_alarm", "reload", "calibrate", "cancel_job", "apply_calibration", "undo_calibration",
}  # fmt: skip


@dataclass
class Answer:
    """Answer of the page."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        """The header's value; empty where there is none."""
        return next((v for k, v in self.headers if k == name.lower()), "")


@dataclass
class Caller:
    """A browser of one person, with its cookie."""

    app: Any
    address: str = "10.0.0.9"
    host: str = HOST
    cookie: str = ""
    sent: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        """GET, with further headers."""
        return self.call("GET", path, headers)

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> Answer:
        """POST as the page's own scripts do it; a header given as an empty text is left out."""
        own = {"origin": f"http://{self.host}", "x-asd": "1", "sec-fetch-site": "same-origin"}
        body = urlencode(form or {}, doseq=True).encode()
        return self.call("POST", path, {**own, **headers}, body)

    def call(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """One request; underscores in the names of headers are hyphens."""
        names = {"host": self.host, "content-type": "application/x-www-form-urlencoded", **self.sent, **headers}
        if self.cookie:
            names["cookie"] = self.cookie
        route, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": route,
            "raw_path": route.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(k.replace("_", "-").lower().encode(), v.encode()) for k, v in names.items() if v],
            "client": (self.address, 50_000),
            "server": ("127.0.0.1", 8480),
        }
        answer = asyncio.run(_call(self.app, scope, body))
        for key, value in answer.headers:
            if key == "set-cookie":
                self.cookie = value.partition(";")[0]
        return answer

    def log_in(self, name: str) -> Answer:
        """Log in with the password that `page` gives everybody."""
        return self.post("/login", {"name": name, "password": f"secret-{name}"})


async def _call(app: Any, scope: dict[str, Any], body: bytes) -> Answer:
    sent: list[dict[str, Any]] = []
    parts = [body[i : i + 4096] for i in range(0, len(body), 4096)] or [b""]

    async def receive() -> dict[str, Any]:
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = [(k.decode().lower(), v.decode()) for k, v in sent[0]["headers"]]
    return Answer(sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))


class FakeService:
    """A gateway's answers; each text that a person or a device may have given is evil.

    Attributes:
        asked: Every request, in order.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def answer(self, document: dict[str, Any]) -> GatewayAnswer:
        """Answer one request."""
        with self.lock:
            self.asked.append(document)
        event = {"utc": 1.8e9, "event": "verdict", "by": EVIL, "note": EVIL, "label": EVIL, "verdict": "true"}
        alarm = {
            "alarm_id": "a1", "monitor": "press", "machine": EVIL, "section": "00", "domain": "source", "bundle": "b",
            "raised_utc": 1.8e9, "cleared_utc": 1.8e9 + 60, "ended_utc": None, "acknowledged_utc": None,
            "severity": 500, "peak_score": 9.0, "level": 4.0, "text": EVIL, "evidence_id": "e1", "test": False,
            "verdict": "true", "label": EVIL, "note": f"={EVIL}", "events": [event],
        }  # fmt: skip
        columns: dict[str, Any] = {k: [] for k in ("time", "low", "mean", "high", "level", "scored", "invalid")}
        series = {"step": 60.0, **columns}
        answers: dict[str, dict[str, Any]] = {
            "states": {"running": True, "monitors": {"press": STATE}, "health": HEALTH},
            "overview": {"series": {"press": series}},
            "series": {"series": series},
            "alarms": {"alarms": [alarm], "more": False},
            "alarm": {"alarm": alarm, "evidence": None},
            "action": {"done": True, "text": EVIL},
            "log": {"lines": [{"utc": 1.8e9, "level": "info", "text": EVIL}]},
            "doctor": {"findings": [{"level": "problem", "where": EVIL, "what": EVIL, "remedy": EVIL, "check": "x"}],
                       "versions": {EVIL: EVIL}},
            "replay": {"windows": 9, "hours": 3.0, "given": 1, "count": 1, "added": 0, "rule": {"k": 3, "n": 4},
                       "lost": [alarm], "spared": [], "absent": [], "alarms": []},
            "apply_level": {"before": 4.0, "level": 5.0, "in_use": False, "lines": [EVIL], "reloaded": EVIL},
            "test_alarm": {},
            "calibrations": {"job": JOB, "has_draft": True, "in_use": False, "stored": [
                {"number": 1, "fault": None, "created_utc": 1.8e9, "heard_from": EVIL, "heard_seconds": 600.0,
                 "level": 4.0, "by": EVIL}, {"number": 2, "fault": EVIL}]},
            "apply_calibration": {"in_use": True, "reloaded": EVIL},
            "undo_calibration": {"in_use": True, "reloaded": EVIL, "left": 0},
            "evidence": {},
        }  # fmt: skip
        body = b"fLaC0123456789" if document["verb"] in {"evidence", "support"} else b""
        return GatewayAnswer(answers.get(document["verb"], {}), body)

    def actions(self) -> list[dict[str, Any]]:
        """Requests that change something."""
        return [d for d in self.asked if d["verb"] in CHANGES]


STATE = {
    "state": "active", "alarm": "active", "alarm_id": "a1", "raised_at": "2027-01-15T08:00:00.000Z", "severity": 500,
    "score": 9.0, "threshold": 4.0, "window_end": "2027-01-15T08:00:00.000Z", "seq": 3, "evidence_id": None,
    "machine": EVIL, "section": "00", "returned": [], "shelved_until": None, "last_raised_at": None, "reason": EVIL,
}  # fmt: skip
JOB = {
    "kind": "calibrate", "monitor": "press", "by": EVIL, "expected_seconds": 60.0, "started_utc": 1.8e9,
    "ended_utc": 1.8e9 + 90, "state": "done", "lines": [EVIL],
    "result": {"windows": 6, "provisional": True, "threshold": 4.0, "rate": EVIL, "left_out": {"clipping": 2, EVIL: 1},
               "judged_alarms": [{"alarm_id": "a1", "verdict": "false", "over_before": 3, "over_after": 0}],
               "difference": {"level_dbfs": -30.0, "usual_level_dbfs": [-40.0, -20.0], "separation": 0.7,
                              "over_threshold": 0.3, "bands": EVIL, "warnings": [EVIL]}},
}  # fmt: skip
HEALTH = {
    "sources": {"mic": {"state": "healthy", "level_dbfs": -30.0, "gaps": 0}},
    "faults": {"broker": EVIL},
    "drift": {"press": EVIL},
    "delivery": {"connected": False},
    "outbox": {"depth": 2},
    "disk_free_bytes": 10**9,
    "temperature_celsius": 45.0,
    "uptime_seconds": 60.0,
    "clock": "synchronised",
    "windows": {"scored": 5, "skipped": 0},
    "evidence": {"kept": 1, "bytes": 1000},
    "versions": {"asd-agent": EVIL},
    "last_test": None,
}


@contextmanager
def page(folder: Path, *, users: bool = True, **web: Any) -> Iterator[tuple[Any, FakeService]]:
    """The page with users `vera` (viewer), `otto` (operator) and `carl` (admin), and its made-up service."""
    config = Config.model_validate(
        {
            "agent": {"name": "box"},
            "sources": {"mic": {"kind": "microphone", "device": "USB"}},
            "monitors": {"press": {"source": "mic", "bundle": "fan"}},
            "paths": {"state": str(folder)},
            "web": {"users": str(folder / "users.json"), **web},
        }
    )
    if users:
        roles: dict[str, Role] = {"vera": "viewer", "otto": "operator", "carl": "admin"}
        for name, role in roles.items():
            UserFile(folder / "users.json").put(name, f"secret-{name}", role)
    service = FakeService()
    server = GatewayServer(folder / WEB_SOCKET_NAME, service)
    server.start()
    try:
        yield create_app(config), service
    finally:
        server.stop()
