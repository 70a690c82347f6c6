"""asd-agent run, whole: a microphone or a recording at one end, a real broker at the other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rigs.agent import Agent, running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.waiting import PATIENCE

pytestmark = pytest.mark.rig

ALERTS = "asd/box/monitor/+/alert"
SCORES = "asd/box/monitor/m/score"


def first_raise(scores: list[dict[str, Any]], k: int, n: int) -> str:
    """End of the first window at which k of the last n scored ones are over their threshold."""
    scored = [s for s in scores if s["score"] is not None]
    over = [s["score"] > s["threshold"] for s in scored]
    return next(s["window_end"] for i, s in enumerate(scored) if sum(over[max(0, i - n + 1) : i + 1]) >= k)


def test_a_microphone_hears_a_fault_and_exactly_one_alarm_is_raised(bundle_path: Path, tmp_path: Path):
    normal = write_wav(tmp_path / "normal.wav", hum(60, 51))
    faulty = write_wav(tmp_path / "faulty.wav", hum(22, 52, knocks=True))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        config = write_config(
            tmp_path,
            bundle_path,
            {"kind": "microphone", "device": DEVICE, "rate": 16_000},  # the rig's server plays at 16 kHz
            broker.port,
            hop_seconds=1,
            alarm={"raise_after": "3 of 4", "clear_after": 1000},
        )
        with Listener(broker.settings(), "asd/#") as heard, running(config, microphone.environment):
            player = microphone.play(normal)
            # The first windows still hold a bit of silence; when the agent begins to hear depends on the load.
            heard.wait_where(SCORES, lambda s: s["score"] is not None and s["score"] < 1.0)
            player.terminate()
            player.wait(timeout=PATIENCE)
            assert heard.texts("asd/box/monitor/m/alert") == []

            started = time.time()
            player = microphone.play(faulty)
            heard.wait_for("asd/box/monitor/m/alert", 1)
            arrived = time.time()
            player.wait(timeout=PATIENCE)
            (alert,) = [a for a in heard.objects("asd/box/monitor/m/alert") if a["event"] != "evidence"]
    assert (alert["event"], alert["state"], alert["late"], alert["durable"]) == ("raised", "active", False, True)
    assert alert["score"] > alert["threshold"]
    assert alert["window_end"] == first_raise(heard.objects(SCORES), k=3, n=4)
    window_end = datetime.fromisoformat(alert["window_end"].replace("Z", "+00:00")).timestamp()
    assert started < window_end < arrived


def test_an_alert_survives_kill_9_while_the_broker_is_down(bundle_path: Path, tmp_path: Path):
    sound = np.concatenate([hum(40, 61), hum(40, 62, knocks=True)])
    faulty = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", sound)), "speed": 20}
    quiet = {"kind": "file", "path": str(write_wav(tmp_path / "b.wav", hum(20, 63))), "speed": 20}
    broker = Broker(tmp_path)
    with running(write_config(tmp_path, bundle_path, faulty, broker.port)) as agent:
        agent.wait_log("monitor m: raised")
        agent.kill()
    made = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    assert [p for p in made if p.lstat().st_mode & 0o077 and not p.is_symlink()] == []
    with broker, Listener(broker.settings(), ALERTS) as heard:
        heard.wait_subscribed()
        with running(write_config(tmp_path, bundle_path, quiet, broker.port)) as agent:
            heard.wait_for("asd/box/monitor/m/alert", 1)
            assert agent.close() == 0
    alerts = heard.objects("asd/box/monitor/m/alert")
    raised = [a for a in alerts if a["event"] == "raised"]
    assert len({a["id"] for a in raised}) == 1
    assert raised[0]["late"] is True
    assert raised[0]["seq"] == 1


def test_a_standing_alarm_is_acknowledged_over_mqtt_and_on_the_box(bundle_path: Path, tmp_path: Path):
    path = write_wav(tmp_path / "faulty.wav", hum(60, 81, knocks=True))
    source = {"kind": "file", "path": str(path), "speed": 10, "loop": True}
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = write_config(tmp_path, bundle_path, source, broker.port)
        config.write_text(config.read_text() + "commands: [acknowledge]\n")
        with running(config):
            heard.wait_for("asd/box/monitor/m/alert", 1)
            order = {"schema": "asd.command/1", "id": "one", "monitor": "m", "by": "night shift"}
            order["expires"] = (datetime.now(timezone.utc) + timedelta(minutes=5)).isoformat()
            heard.publish("asd/box/command/acknowledge", json.dumps(order))
            heard.wait_for("asd/box/monitor/m/alert", 2)
            heard.wait_for("asd/box/command/result", 1)
            heard.publish("asd/box/command/shelve", json.dumps({**order, "id": "two", "minutes": 5}))
            heard.wait_for("asd/box/command/result", 2)
            on_the_box = [sys.executable, "-c", "from asd_agent.cli import main; main()", "alerts", "shelve", "m"]
            done = subprocess.run([*on_the_box, "--minutes", "5", "-c", str(config)], check=False, timeout=PATIENCE)
            assert done.returncode == 0
            heard.wait_for("asd/box/monitor/m/alert", 4)
    events = [a["event"] for a in heard.objects("asd/box/monitor/m/alert")]
    assert [e for e in events if e != "evidence"][:3] == ["raised", "acknowledged", "shelved"]
    answers = heard.objects("asd/box/command/result")
    assert [a["done"] for a in answers] == [True, False]


def test_without_a_microphone_the_agent_waits_for_it_and_says_so(bundle_path: Path, tmp_path: Path):
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = write_config(tmp_path, bundle_path, {"kind": "microphone", "device": "no-such-thing"}, broker.port)
        with running(config) as agent:
            agent.wait_log("source sound is")
            heard.wait_for("asd/box/source/sound/state", 2)
            assert agent.process.poll() is None
            assert agent.close() == 0
        said = heard.objects("asd/box/source/sound/state")
    assert any("no-such-thing" in s["reason"] for s in said)
    assert heard.texts("asd/box/status")[-1] == "offline"


def test_a_bad_configuration_starts_nothing_and_exits_78(bundle_path: Path, tmp_path: Path):
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": "x.wav"}, 1, hop_secnds=5)
    agent = Agent(config)
    assert agent.process.wait(timeout=PATIENCE) == 78
    agent.close()
    (line,) = agent.lines
    assert "unknown key. Did you mean 'hop_seconds'?" in line
    assert not (tmp_path / "state").exists()


def test_a_bundle_that_lacks_the_section_exits_78_with_those_it_has(bundle_path: Path, tmp_path: Path):
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": "x.wav"}, 1, section="05")
    agent = Agent(config)
    assert agent.process.wait(timeout=PATIENCE) == 78
    agent.close()
    assert "It has: 00/source" in agent.lines[-1]


def test_a_recording_is_played_to_its_end_every_window_counted(bundle_path: Path, tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", hum(200, 71))
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        heard.wait_subscribed()
        config = write_config(tmp_path, bundle_path, {"kind": "file", "path": str(path), "speed": 1000}, broker.port)
        with running(config) as agent:
            assert agent.process.wait(timeout=PATIENCE) == 0
        heard.wait_text("asd/box/status", "offline")
        health = json.loads(heard.texts("asd/box/health")[-1])
    windows = health["windows"]
    assert (windows["scored"], windows["skipped"], windows["invalid"]) == (39, 0, 0)
    assert health["sources"]["sound"]["samples"] == health["sources"]["sound"]["frames"] == 200 * 16_000
