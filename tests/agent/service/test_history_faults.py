"""A history that cannot be written is a fault of the health report; alarms and MQTT go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_agent.control_client import SOCKET_NAME, ask
from asd_agent.history import FILE_NAME
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.waiting import wait_until

pytestmark = pytest.mark.rig


@pytest.mark.parametrize("fault", ["a folder in its place", "damaged"])
def test_an_alarm_reaches_the_broker_whatever_happens_to_the_history(bundle_path: Path, tmp_path: Path, fault: str):
    history = tmp_path / "state" / FILE_NAME
    history.parent.mkdir()
    if fault == "damaged":
        history.write_bytes(b"no database " * 1000)
    else:
        history.mkdir()
    sound = write_wav(tmp_path / "faulty.wav", hum(60, 81, knocks=True))
    source = {"kind": "file", "path": str(sound), "speed": 10, "loop": True}
    with (
        Broker(tmp_path) as broker,
        Listener(broker.settings(), "asd/#") as heard,
        running(write_config(tmp_path, bundle_path, source, broker.port)),
    ):
        heard.wait_for("asd/box/monitor/m/alert", 1)
        assert heard.objects("asd/box/monitor/m/alert")[0]["event"] == "raised"
        socket = tmp_path / "state" / SOCKET_NAME

        def faults() -> dict[str, str]:
            return dict(ask(socket, {"command": "health"})["health"]["faults"])

        if fault == "damaged":
            wait_until(lambda: history.with_name(f"{FILE_NAME}.damaged").exists(), "it is not set aside")
            assert "history" not in faults()
        else:
            wait_until(lambda: "history" in faults(), "the history is no fault")
