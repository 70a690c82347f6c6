"""Attacks on the page, each of which must come to nothing."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asd_agent.errors import ConfigError
from asd_agent.web import guard
from asd_agent.web.sessions import COOKIE, FREE_ATTEMPTS, IDLE_SECONDS, LONGEST_SECONDS, LoginLimit, LoginSessions
from rigs.page_caller import EVIL, Caller, FakeService, page

ACT = {"action": "acknowledge", "pick": "press|a1"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, FakeService]]:
    """One page for all tests that leave it as it is; `10.9.0.1` is a trusted proxy."""
    with page(tmp_path_factory.mktemp("page"), host="0.0.0.0", trusted_proxies=["10.9.0.0/24"]) as made:
        yield made


@pytest.fixture(scope="module")
def people(served: tuple[Any, FakeService]) -> dict[str, Caller]:
    """A logged-in browser for each role."""
    made = {}
    for name in ("vera", "otto", "carl"):
        made[name] = Caller(served[0])
        assert made[name].log_in(name).status == 200
    return made


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": ""},
        {"origin": "null"},
        {"origin": "http://box.plant:8480.evil.example"},
        {"x_asd": ""},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_a_request_of_another_site_changes_nothing(served, people, headers: dict[str, str]):
    before = len(served[1].actions())
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    assert people["otto"].post("/act", ACT, **names).status == 403
    assert len(served[1].actions()) == before
    assert people["otto"].post("/act", ACT).status == 204
    assert served[1].actions()[-1]["by"] == "otto"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(people, method: str):
    assert people["carl"].call(method, "/act", {}).status == 403


def test_a_viewer_cannot_act_and_an_operator_cannot_change_levels(served, people):
    before = len(served[1].actions())
    assert people["vera"].post("/act", ACT).status == 403
    assert people["vera"].post("/test-alarm", {"monitor": "press"}).status == 403
    level = {"level": "5", "k": "3", "n": "4", "days": "7", "confirmed": "yes"}
    assert people["otto"].post("/machines/press/level", level).status == 403
    assert people["vera"].get("/machines/press/calibrate").status == 403
    assert people["vera"].post("/machines/press/calibrate", {"minutes": "5"}).status == 403
    assert people["vera"].post("/machines/press/calibrate/cancel").status == 403
    for path in ("use", "undo"):
        assert people["otto"].post(f"/machines/press/calibrate/{path}").status == 403
    for path in ("/box/log", "/box/support.tar.gz", "/new", "/new/inputs", "/new/level?input=source:s", "/bundles"):
        assert people["otto"].get(path).status == 403
    for path in ("choose", "record", "learn", "add", "cancel", "discard", "remove", "undo"):
        assert people["otto"].post(f"/new/{path}", {"minutes": "5"}).status == 403
    for path in ("piece?offset=0", "install", "rollback", "cancel"):
        assert people["otto"].post(f"/bundles/{path}", {"size": "5"}).status == 403
    assert len(served[1].actions()) == before
    assert people["carl"].post("/machines/press/level", {**level, "confirmed": ""}).status == 400
    assert len(served[1].actions()) == before
    assert people["carl"].post("/machines/press/level", level).status == 200
    assert served[1].actions()[-1]["by"] == "carl"
    for path, status in (("", 204), ("/cancel", 204), ("/use", 204), ("/undo", 204)):
        assert people["carl"].post(f"/machines/press/calibrate{path}", {"minutes": "5"}).status == status
    changes = ["calibrate", "cancel_job", "apply_calibration", "undo_calibration"]
    assert [(d["verb"], d["by"]) for d in served[1].actions()[-4:]] == [(verb, "carl") for verb in changes]
    assert people["otto"].post("/machines/press/calibrate", {"minutes": "many"}).status == 400


def test_nobody_sees_anything_without_a_login(served):
    stranger = Caller(served[0])
    before = len(served[1].asked)
    for route in served[0].routes:
        path = getattr(route, "path", "").replace("{monitor}", "press").replace("{alarm_id}", "a1")
        path = path.replace("{file}", "clip.flac")
        if path in {"/login", "/logout", "/healthz", "/static"}:
            continue
        method = "POST" if "POST" in (getattr(route, "methods", None) or ()) else "GET"
        answer = stranger.post(path) if method == "POST" else stranger.get(path)
        assert answer.status in {303, 401}, path
    assert len(served[1].asked) == before


def test_texts_of_people_and_devices_are_never_markup(people):
    for path in (
        "/", "/alarms", "/history", "/alarms/a1", "/machines/press", "/machines/press/listen", "/box",
        "/machines/press/calibrate", "/box/doctor", "/box/log",
        "/machines/press/what-if?level=5&k=3&n=4&days=7",
    ):  # fmt: skip
        answer = people["carl"].get(path)
        assert answer.status == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<img src=x" not in answer.text, path
    assert "&lt;script&gt;" in people["carl"].get("/alarms/a1").text
    level = {"level": "5", "k": "3", "n": "4", "days": "7", "confirmed": "yes"}
    assert "<script>alert" not in people["carl"].post("/machines/press/level", level).text
    assert people["carl"].get(f"/machines/{EVIL}").text.count("<script>alert") == 0


def test_the_policy_permits_no_inline_script_and_no_other_host(people):
    answer = people["vera"].get("/")
    policy = dict(p.strip().split(" ", 1) for p in answer.header("content-security-policy").split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"
    for path in ("/", "/alarms", "/alarms/a1", "/machines/press", "/machines/press/listen", "/box", "/login"):
        text = people["carl"].get(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert "onclick" not in text
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text


def test_a_spreadsheet_takes_no_cell_for_a_formula(people):
    answer = people["vera"].get("/alarms.csv")
    assert answer.header("content-disposition").startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["note"].startswith("'=")
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("alarm_id", ["..", "%2e%2e", "a1%2f..%2f..", "a b", "a" * 200])
@pytest.mark.parametrize("file", ["clip.flac", "agent.yaml", "..%2fagent.yaml", "users.json"])
def test_no_path_of_evidence_reaches_another_file(served, people, alarm_id: str, file: str):
    asked = len([d for d in served[1].asked if d["verb"] == "evidence"])
    assert people["carl"].get(f"/alarms/{alarm_id}/{file}").status == 404
    assert len([d for d in served[1].asked if d["verb"] == "evidence"]) == asked


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fusers.py", "/static//etc/passwd"]
)
def test_static_files_are_those_of_one_folder(people, path: str):
    assert people["carl"].get(path).status == 404


def test_ranges_of_a_clip(people):
    assert people["vera"].get("/alarms/a1/clip.flac").body == b"fLaC0123456789"
    part = people["vera"].get("/alarms/a1/clip.flac", range="bytes=4-6")
    assert (part.status, part.body, part.header("content-range")) == (206, b"012", "bytes 4-6/14")
    assert people["vera"].get("/alarms/a1/clip.flac", range="bytes=99-").status == 416
    assert people["vera"].get("/alarms/a1/clip.flac", range="bytes=0-1,3-4").status == 200


def test_forwarding_headers_of_an_untrusted_proxy_count_for_nothing(served):
    spoofed = {"x-forwarded-for": "10.0.0.1", "x-forwarded-prefix": "/evil", "x-forwarded-proto": "https",
               "x-forwarded-host": "evil.example"}  # fmt: skip
    stranger = Caller(served[0], sent=spoofed)
    answer = stranger.log_in("vera")
    assert answer.status == 200
    assert "Path=/;" in answer.header("set-cookie") + ";"
    assert "Secure" not in answer.header("set-cookie")
    assert stranger.post("/act", ACT, origin="http://evil.example").status == 403

    behind = Caller(served[0], address="10.9.0.1", host="evil.example", sent={**spoofed, "x-forwarded-prefix": "/asd"})
    cookie = behind.log_in("vera").header("set-cookie")
    assert "Path=/asd/" in cookie
    assert "Secure" in cookie
    assert "frame-ancestors 'self'" in behind.get("/").header("content-security-policy")


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/a b", "/x;Domain=evil", "/<script>", "/a\r\nSet-Cookie: x", "/" * 300]
)
def test_a_prefix_that_is_no_path_is_ignored(served, prefix: str):
    behind = Caller(served[0], address="10.9.0.1", sent={"x-forwarded-prefix": prefix})
    assert "Path=/;" in behind.log_in("vera").header("set-cookie") + ";"


def test_oversized_bodies_are_refused_whether_announced_or_not(people):
    big = {"note": "x" * (guard.LARGEST_BODY + 1)}
    assert people["otto"].post("/act", {**ACT, **big}, **{"content-length": str(10**9)}).status == 413
    assert people["otto"].post("/act", {**ACT, **big}).status == 413
    assert people["otto"].post("/act", {**ACT, **{f"f{i}": "x" for i in range(500)}}).status == 400


def test_a_body_that_does_not_arrive_ends(people, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)
    scope = {
        "type": "http", "method": "POST", "scheme": "http", "path": "/act", "raw_path": b"/act", "query_string": b"",
        "root_path": "", "headers": [(b"host", b"box.plant:8480"), (b"origin", b"http://box.plant:8480"),
                                     (b"x-asd", b"1"), (b"content-type", b"application/x-www-form-urlencoded"),
                                     (b"cookie", people["otto"].cookie.encode())],
        "client": ("10.0.0.9", 1), "server": ("127.0.0.1", 8480),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    asyncio.run(people["otto"].app(scope, receive, send))
    assert sent[0]["status"] == 408


def test_a_session_begins_anew_at_each_login_and_ends_at_logout(served):
    fixed = Caller(served[0], cookie=f"{COOKIE}=chosen-by-somebody")
    answer = fixed.log_in("otto")
    cookie = answer.header("set-cookie")
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    first = fixed.cookie
    assert first != f"{COOKIE}=chosen-by-somebody"
    assert Caller(served[0], cookie=f"{COOKIE}=chosen-by-somebody").get("/").status == 303
    fixed.log_in("otto")
    assert fixed.cookie != first
    assert Caller(served[0], cookie=first).get("/").status == 303  # the one before has ended
    last = fixed.cookie
    fixed.post("/logout")
    assert Caller(served[0], cookie=last).get("/").status == 303


def test_guessing_passwords_is_slowed_down_by_address_and_by_name(tmp_path: Path):
    with page(tmp_path) as (app, _service):
        guesser = Caller(app)
        for _ in range(FREE_ATTEMPTS):
            assert guesser.post("/login", {"name": "carl", "password": "wrong"}).status == 401
        answer = guesser.post("/login", {"name": "carl", "password": "secret-carl"})
        assert answer.status == 429
        assert int(answer.header("retry-after")) >= 1
        assert Caller(app, address="10.0.0.8").log_in("carl").status == 429  # another address, the same name
        assert Caller(app, address="10.0.0.8").log_in("vera").status == 200


def test_waits_grow_and_are_forgotten():
    now = 0.0
    limit = LoginLimit(lambda: now)
    waits = []
    for _ in range(12):
        limit.failed("name carl")
        waits.append(limit.wait("name carl"))
    assert waits[: FREE_ATTEMPTS - 1] == [0.0] * (FREE_ATTEMPTS - 1)
    assert waits[-1] > 100.0
    now = 4000.0
    assert limit.wait("name carl") == 0.0


def test_sessions_end_by_themselves():
    now = 0.0
    sessions = LoginSessions(lambda: now)
    token = sessions.begin("otto")
    now = IDLE_SECONDS
    assert sessions.name(token) == "otto"
    now += IDLE_SECONDS + 1
    assert sessions.name(token) is None
    token, began = sessions.begin("otto"), now
    while now < began + LONGEST_SECONDS:
        assert sessions.name(token) == "otto"
        now += IDLE_SECONDS / 2
    now += 1
    assert sessions.name(token) is None


def test_a_removed_user_is_out_at_once(tmp_path: Path):
    with page(tmp_path) as (app, _service):
        otto = Caller(app)
        otto.log_in("otto")
        assert otto.get("/").status == 200
        app.state.parts.users.remove("otto")
        assert otto.get("/").status == 303


def test_without_users_only_this_box_is_served(tmp_path: Path):
    with page(tmp_path, users=False) as (app, service):
        assert Caller(app, host="127.0.0.1:8480", address="127.0.0.1").get("/").status == 200
        here = Caller(app, host="localhost:8480", address="127.0.0.1")
        assert here.post("/act", ACT).status == 204
        assert service.actions()[-1]["by"] == "local"
        assert Caller(app, host="evil.example", address="127.0.0.1").get("/").status == 403  # DNS rebinding
        assert here.get("/", **{"x-forwarded-for": "10.0.0.1"}).status == 403  # a proxy on this box
        app.state.parts.users.put("carl", "secret-carl", "admin")
        assert here.get("/").status == 303  # the first user closes the page
    (tmp_path / "users.json").unlink()
    with pytest.raises(ConfigError, match="there are no users"), page(tmp_path, users=False, host="0.0.0.0"):
        pass


def test_a_link_from_a_message_asks_again_with_its_cookie(served, people):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    answer = Caller(served[0]).get("/alarms/a1", **headers)
    assert answer.status == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "press" not in answer.text
    assert "press" in people["vera"].get("/alarms/a1", **headers).text


def test_nonsense_in_fields_is_a_plain_refusal(people):
    for path in (
        "/machines/press/series?start=a&end=b", "/machines/press/series", "/machines/press/series?start=nan&end=inf",
        "/machines/press/what-if?level=x&k=1&n=1&days=1",
    ):  # fmt: skip
        assert people["vera"].get(path, **{"hx-request": "true"}).status == 400, path
    assert people["vera"].get("/machines/nobody").status == 404
    assert people["vera"].get("/nothing").status == 404
    assert people["vera"].get("/history?days=99999999999&monitor=%00").status == 200
    assert people["otto"].post("/act", {"action": "retire", "pick": "press"}).status == 400
    assert people["otto"].post("/act", {"action": "shelve", "pick": "press", "minutes": "x"}).status == 400
