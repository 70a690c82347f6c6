"""Alarms of a real service through MQTT and two targets, each away for a while, the service killed in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asd_agent.control_client import SOCKET_NAME, ask
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.mail_server import MailServer
from rigs.push_server import PushServer

pytestmark = pytest.mark.rig


def test_each_alarm_arrives_by_its_id_everywhere_after_outages_and_a_kill(bundle_path: Path, tmp_path: Path):
    source = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", hum(40, 11))), "speed": 1, "loop": True}
    broker, mails, push = Broker(tmp_path / "broker"), MailServer(), PushServer()
    config = write_config(tmp_path, bundle_path, source, broker.port)
    (tmp_path / "mail").write_text(f"mailto://localhost:{mails.port}?mode=insecure&from=a@example.org&to=b@example.org")
    (tmp_path / "push").write_text(f"json://localhost:{push.port}")
    targets = {name: {"url": {"file": str(tmp_path / name)}, "retry_seconds": [0.2, 0.5]} for name in ("mail", "push")}
    config.write_text(config.read_text() + yaml.safe_dump({"notify": targets}))
    asked = []

    def raise_alarm() -> None:
        answer = ask(tmp_path / "state" / SOCKET_NAME, {"command": "test_alarm", "monitor": "m"})
        asked.append(answer["alarm_id"])

    with push, running(config) as agent:
        agent.wait_log("listening")
        raise_alarm()
        push.wait_for(1)
        push.stop()
        raise_alarm()
        agent.kill()
    with (
        broker,
        Listener(broker.settings(), "asd/box/monitor/m/alert") as listener,
        mails,
        push,
        running(config) as agent,
    ):
        agent.wait_log("listening")
        raise_alarm()
        listener.wait_for("asd/box/monitor/m/alert", 6)
        mails.wait_for(3)
        push.wait_for(3)
    alerts = listener.objects("asd/box/monitor/m/alert")
    assert {a["alarm_id"] for a in alerts} == set(asked)
    assert {a["alarm_id"] for a in alerts if a["late"]} >= set(asked[:2])
    assert {str(m["References"])[1:].partition("@")[0] for m in mails.mails} == set(asked)
    assert {p["alarm_id"] for p in push.objects()} == set(asked)
