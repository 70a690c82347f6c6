"""A box whose state folder is lost: what the broker still holds of it is continued, and the loss is visible."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav

pytestmark = pytest.mark.rig
ALERT, STATE, EVENT = "asd/box/monitor/m/alert", "asd/box/monitor/m/state", "asd/box/event"


def test_a_lost_folder_repeats_no_number_and_its_alarm_clears(bundle_path: Path, tmp_path: Path):
    sound = np.concatenate([hum(20, 61), hum(60, 62, knocks=True)])
    faulty = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", sound)), "speed": 10, "loop": True}
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings(), "asd/#") as listener:
        config = write_config(tmp_path, bundle_path, faulty, broker.port, alarm={"clear_after": 1000})
        with running(config) as agent:
            first = listener.wait_where(STATE, lambda s: s["alarm"] == "active")
            agent.kill()
        shutil.rmtree(tmp_path / "state")
        with running(config):
            cleared = listener.wait_where(ALERT, lambda a: a["event"] == "cleared")
            notice = listener.wait_where(EVENT, lambda e: e["event"] == "outbox_reset")
            again = listener.wait_where(
                ALERT, lambda a: a["event"] == "raised" and a["alarm_id"] != first["alarm_id"], after=1
            )
    assert cleared["alarm_id"] == first["alarm_id"]
    assert cleared["seq"] >= first["seq"] + 2  # a gap
    assert "monitor m" in notice["text"]
    numbers = {(a["seq"], a["id"]) for a in listener.objects(ALERT)}
    assert len({seq for seq, _ in numbers}) == len(numbers)
    assert again["seq"] > first["seq"]


def test_a_new_box_begins_at_one_without_a_notice(bundle_path: Path, tmp_path: Path):
    sound = np.concatenate([hum(20, 61), hum(60, 62, knocks=True)])
    faulty = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", sound)), "speed": 10}
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings(), "asd/#") as listener:
        with running(write_config(tmp_path, bundle_path, faulty, broker.port)):
            raised = listener.wait_where(ALERT, lambda a: a["event"] == "raised")
        assert raised["seq"] == 1
        assert not [e for e in listener.objects(EVENT) if e["event"] == "outbox_reset"]
