"""A test alarm goes the whole way to a broker and leaves the monitor's own alarm alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from asd_agent.control_client import SOCKET_NAME, ask
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.waiting import wait_until


def test_a_test_alarm_reaches_the_broker_marked_as_one_and_is_proved(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "quiet.wav", np.concatenate([hum(40, 11)]))
    source = {"kind": "file", "path": str(sound), "speed": 4, "loop": True}
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        with running(write_config(tmp_path, bundle_path, source, broker.port)) as agent:
            agent.wait_log("listening")
            socket = tmp_path / "state" / SOCKET_NAME
            answer = ask(socket, {"command": "test_alarm", "monitor": "m"})
            assert answer["score"] > answer["threshold"]
            heard.wait_for("asd/box/monitor/m/alert", 2)
            wait_until(lambda: ask(socket, {"command": "health"})["health"]["last_test"], "the proof is not recorded")
            status = ask(socket, {"command": "status"})
            assert status["monitors"]["m"]["seq"] == 0
            assert status["monitors"]["m"]["alarm"] == "normal"
            assert status["health"]["last_test"]["alarm_id"] == answer["alarm_id"]
        alerts = heard.objects("asd/box/monitor/m/alert")
        assert [(a["event"], a["test"], a["seq"], a["monitor"]) for a in alerts] == [
            ("raised", True, 0, "m"),
            ("cleared", True, 0, "m"),
        ]
    assert json.loads((tmp_path / "state" / "test-alarm.json").read_text())["alarm_id"] == answer["alarm_id"]
