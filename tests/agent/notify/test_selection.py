"""Selection of messages for a target: events, severities, quiet hours, tests; the service without Apprise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from asd_agent.commands.check import inspect
from asd_agent.config.notify import NotifySettings, QuietHours
from asd_agent.control_client import SOCKET_NAME, ask
from asd_agent.demo.broker import free_port
from asd_agent.notify.child import masked
from asd_agent.notify.message import is_urgent, is_wanted
from rigs.agent import running, write_config
from rigs.bundles import hum, write_wav
from rigs.hand_clock import HandClock
from rigs.notifying import alert, notifying, target
from rigs.push_server import PushServer
from rigs.waiting import wait_until


def document(*arguments: Any, **fields: Any) -> dict[str, Any]:
    return dict(json.loads(alert(*arguments, **fields).payload))


def settings(**fields: Any) -> NotifySettings:
    return NotifySettings.model_validate({"url": {"credential": "x"}, **fields})


@pytest.mark.parametrize(
    ("given", "fields", "wanted"),
    [
        ({"event": "raised", "severity": 300}, {"least_severity": 300}, True),
        ({"event": "raised", "severity": 299}, {"least_severity": 300}, False),
        ({"event": "acknowledged"}, {}, False),
        ({"event": "acknowledged"}, {"events": ["acknowledged"]}, True),
        ({"event": "evidence", "severity": 300}, {}, False),
        ({"event": "evidence", "severity": 300}, {"attach": ["picture"]}, True),
        ({"event": "raised", "severity": 1, "test": True}, {"least_severity": 900, "events": ["cleared"]}, True),
        ({"event": "cleared", "test": True}, {}, False),
    ],
)
def test_events_and_severities_choose(given: dict[str, Any], fields: dict[str, Any], wanted: bool):
    assert is_wanted(document(given.pop("event"), **given), settings(**fields)) is wanted


def test_notices_of_the_agent_have_no_severity_and_are_sent():
    notice = {"schema": "asd.event/1", "id": "n", "event": "source_lost", "subject": "mic", "text": "gone"}
    assert is_wanted(notice, settings(least_severity=1000))


@pytest.mark.parametrize(
    ("begin", "end", "minute", "quiet"),
    [("22:00", "06:00", 1320, True), ("22:00", "06:00", 359, True), ("22:00", "06:00", 360, False),
     ("12:00", "13:00", 719, False), ("12:00", "13:00", 720, True), (1320, "06:00", 0, True)],
)  # fmt: skip
def test_quiet_hours_may_span_midnight(begin: Any, end: Any, minute: int, quiet: bool):
    assert QuietHours(begin=begin, end=end).holds(minute) is quiet


@pytest.mark.parametrize("wrong", [{"begin": "24:00", "end": "06:00"}, {"begin": "6:00", "end": "6:00"}])
def test_times_that_are_none_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        QuietHours.model_validate(wrong)


def test_only_severe_alarms_break_the_quiet():
    chosen = settings(quiet={"begin": "22:00", "end": "06:00", "except_severity": 700})
    assert [is_urgent(document("raised", severity=s), chosen) for s in (699, 700)] == [False, True]
    assert is_urgent(document("raised", severity=1, test=True), chosen)


def test_in_quiet_hours_the_severe_one_overtakes_and_the_other_waits(tmp_path: Path):
    clock = HandClock()
    quiet = {"begin": "00:00", "end": "23:59", "except_severity": 700}
    with PushServer() as server:
        chosen = target(tmp_path, f"json://localhost:{server.port}", quiet=quiet)
        with notifying(tmp_path, chosen, clock) as rig:
            low, high = rig.store(alert(severity=100), alert(severity=800))
            assert [m["id"] for m in server.wait_for(1)] == [high]
            wait_until(lambda: rig.stats.waiting == 1, "the other does not wait")
        awake = target(tmp_path, f"json://localhost:{server.port}")
        clock.now += 3600
        with notifying(tmp_path, awake, clock):
            assert [m["id"] for m in server.wait_for(2)] == [high, low]
    assert server.objects()[1]["late"] is True


def test_every_part_of_a_url_is_masked():
    text = masked("POST https://bot%20x:s3cret@host.example/token99 failed for bot x", "tgram://bot%20x:s3cret@token99")
    assert not any(part in text for part in ("s3cret", "token99", "bot x", "bot%20x"))
    assert text.endswith("failed for …")


def test_the_service_never_imports_apprise():
    code = "import sys, asd_agent.service.loop, asd_agent.notify.notifier; print('apprise' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_check_names_a_url_that_nobody_understands(bundle_path: Path, tmp_path: Path):
    config = write_config(
        tmp_path, bundle_path, {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", hum(1, 1)))}, 1
    )
    (tmp_path / "url").write_text("nonsense://secret-token\n")
    (tmp_path / "url").chmod(0o600)
    with config.open("a") as file:
        file.write(yaml.safe_dump({"notify": {"shift": {"url": {"file": str(tmp_path / "url")}}}}))
    rows = [r for r in inspect(config) if r["key"].startswith("notify")]
    assert [r["key"] for r in rows] == ["notify.shift.url"]
    assert "secret-token" not in str(rows)


def test_a_test_alarm_reaches_a_target_though_no_broker_is_there(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "quiet.wav", hum(40, 11))
    source = {"kind": "file", "path": str(sound), "speed": 4, "loop": True}
    config = write_config(tmp_path, bundle_path, source, free_port())
    with PushServer() as server:
        (tmp_path / "url").write_text(f"json://localhost:{server.port}\n")
        chosen = {"url": {"file": str(tmp_path / "url")}, "least_severity": 1000}
        with config.open("a") as file:
            file.write(yaml.safe_dump({"notify": {"shift": chosen}}))
        with running(config) as agent:
            agent.wait_log("listening")
            socket = tmp_path / "state" / SOCKET_NAME
            answer = ask(socket, {"command": "test_alarm", "monitor": "m"})
            (message,) = server.wait_for(1)
            wait_until(
                lambda: (
                    ask(socket, {"command": "health"})["health"]["notify"]["shift"]["last_test"] == answer["alarm_id"]
                ),
                "the target's acceptance is not in health",
            )
    assert message["alarm_id"] == answer["alarm_id"]
    assert message["title"].startswith("[test] box m: alarm")
