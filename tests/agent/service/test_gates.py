"""A topic that reports whether the machine runs: its message is compared, and nothing unreadable counts as running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from asd_agent.config.file import load_config
from asd_agent.config.monitors import TopicGate
from asd_agent.errors import ConfigError
from asd_agent.service.gates import MOST_BYTES, machine_state
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav

SCORES = "asd/box/monitor/m/score"
NESTED = b'{"motor": {"axes": [{"rpm": 1450, "on": true}, {"rpm": "0"}], "mode": " auto "}}'


@pytest.mark.parametrize(
    ("settings", "payload", "state"),
    [
        ({"equals": "on"}, b" on\n", "running"),
        ({"equals": "on"}, b"off", "stopped"),
        ({"above": 100}, b"100.5", "running"),
        ({"above": 100}, b"100", "stopped"),
        ({"below": 3}, b"-1e3", "running"),
        ({"above": 1, "below": 3}, b"2", "running"),
        ({"above": 1, "below": 3}, b"4", "stopped"),
        ({"above": 1}, b"", "unknown"),
        ({"above": 1}, b"nan", "unknown"),
        ({"above": 1}, b"\xff\xfe", "unknown"),
        ({"json_path": "motor.axes[0].rpm", "above": 100}, NESTED, "running"),
        ({"json_path": "$.motor.axes[1].rpm", "above": 100}, NESTED, "stopped"),
        ({"json_path": "motor.axes[0].on", "equals": "true"}, NESTED, "running"),
        ({"json_path": "motor.mode", "equals": "auto"}, NESTED, "running"),
        ({"json_path": "[1]", "equals": "2"}, b"[1, 2]", "running"),
        ({"json_path": "motor.axes[2].rpm", "above": 100}, NESTED, "unknown"),
        ({"json_path": "motor.speed", "above": 100}, NESTED, "unknown"),
        ({"json_path": "motor[0]", "above": 100}, NESTED, "unknown"),
        ({"json_path": "motor", "above": 100}, NESTED, "unknown"),
        ({"json_path": "motor", "equals": "x"}, b"running", "unknown"),
        ({"json_path": "a", "equals": "x"}, b"[" * 60_000, "unknown"),
        ({"equals": "on"}, b" " * MOST_BYTES + b"on", "unknown"),
    ],
)
def test_a_message_reports_a_state(settings: dict[str, Any], payload: bytes, state: str):
    assert machine_state(TopicGate(topic="plant/press", **settings), payload) == state


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "give either 'equals'"),
        ({"equals": "on", "above": 1}, "give either 'equals'"),
        ({"above": 3, "below": 3}, "would never run"),
        ({"above": float("nan")}, "above"),
        ({"above": float("inf")}, "above"),
        ({"equals": "on", "json_path": "a..b"}, "is no path"),
        ({"equals": "on", "json_path": "a[b]"}, "is no path"),
        ({"equals": "on", "json_path": "$"}, "is no path"),
        ({"equals": "on", "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(settings: dict[str, Any], text: str):
    with pytest.raises(ValidationError, match=text):
        TopicGate(topic="plant/press", **settings)


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ({"topic": "plant/press", "json_path": "a..b", "above": 1}, "active_when.json_path: 'a..b' is no path"),
        ({"topic": "plant/press"}, "active_when: give either 'equals'"),
        ({"topic": "plant/press", "equls": "on"}, "active_when.equls: unknown key. Did you mean 'equals'?"),
        ({"level_above_dbfs": 3}, "active_when.level_above_dbfs: input should be"),
        ({}, "active_when.level_above_dbfs: is missing"),
        ("on", "active_when: input should be"),
    ],
)
def test_a_mistake_in_a_gate_is_reported_for_the_kind_that_is_meant(tmp_path: Path, gate: object, line: str):
    config = write_config(tmp_path, tmp_path, {"kind": "file", "path": "x.wav"}, 1, active_when=gate)
    with pytest.raises(ConfigError) as error:
        load_config(config)
    lines = str(error.value).splitlines()
    assert any(line in found for found in lines), lines
    assert not any("Did you mean 'topic'" in found or "Did you mean 'above'" in found for found in lines)


def test_a_topic_that_goes_quiet_makes_the_monitor_stale_and_a_message_ends_that(bundle_path: Path, tmp_path: Path):
    source = {"kind": "file", "path": str(write_wav(tmp_path / "hum.wav", hum(20, 3))), "loop": True, "speed": 8.0}
    gate = {"topic": "plant/press", "json_path": "motor.rpm", "above": 100, "timeout_seconds": 3}
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as listener:
        listener.publish("plant/press", '{"motor": {"rpm": 1450}}', retain=False)
        config = write_config(
            tmp_path, bundle_path, source, broker.port, active_when=gate, alarm={"stale_after": 2}, hop_seconds=10
        )
        with running(config):
            invalid = listener.wait_where(SCORES, lambda s: s["quality"]["verdict"] == "invalid")
            assert invalid["quality"]["reasons"] == ["machine_state_unknown"]
            stale = listener.wait_where("asd/box/monitor/m/alert", lambda a: a["event"] == "stale")
            assert "machine_state_unknown" in stale["text"]
            for payload, verdict in (('{"motor": {"rpm": 0}}', "suspended"), ('{"motor": {"rpm": 1450}}', "scored")):
                before = len(listener.texts(SCORES))
                listener.publish("plant/press", payload, retain=False)
                listener.wait_where(SCORES, lambda s, v=verdict: s["quality"]["verdict"] == v, after=before)
