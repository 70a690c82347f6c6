"""The example configuration of Telegraf: every topic and every field in it is one that agents publish.

The tests run no Telegraf; its rules for JSON are applied here: nested keys are joined by `_`, null is left out, texts
and truth values count only where they are listed.
"""

from __future__ import annotations

import fnmatch
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from asd_agent.alarm import Event, ScoredWindow
from asd_agent.clock import ClockReading
from asd_agent.monitor import Identity
from asd_agent.mqtt.health import MonitorHealth
from asd_agent.mqtt.mapping import alert_of, score_of
from asd_agent.mqtt.topics import Topics
from rigs.healthy import HEALTH

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).parents[3] / "docs" / "examples" / "telegraf.conf"
TOPICS = Topics("hall-3-box-1")
NOW = ClockReading(1_800_000_011.5, 500.0, "boot-1")
IDENTITY = Identity("fan", "00", "source", "abc")
WINDOW = ScoredWindow(
    index=1, start=5.0, end=15.0, utc_end=1_800_000_010.0, verdict="scored", score=4.5, threshold=2.0, clear_level=1.5
)
MONITOR = MonitorHealth(state="normal", score=1.0, threshold=2.0, severity=1, alarms_raised=0, scoring_seconds=0.1)
PUBLISHED = {
    "asd_score": (TOPICS.score("press"), score_of(WINDOW, IDENTITY)),
    "asd_alert": (
        TOPICS.alert("press"),
        alert_of(Event("e1", "raised", "a1", 3, "active", 350, WINDOW, NOW), IDENTITY),
    ),
    "asd_health": (TOPICS.health, HEALTH.model_copy(update={"monitor_states": {"press": MONITOR}})),
}


def inputs() -> dict[str, dict[str, Any]]:
    with FILE.open("rb") as file:
        found = tomllib.load(file)["inputs"]["mqtt_consumer"]
    return {one["name_override"]: one for one in found}


def flattened(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        parts = [flattened(v, f"{name}_{k}".strip("_")) for k, v in value.items()]
        return {key: found for part in parts for key, found in part.items()}
    return {} if value is None or isinstance(value, list) else {name: value}


def matching(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def test_each_input_reads_a_topic_of_its_own():
    assert set(inputs()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_topic_and_fields_are_those_of_the_payload(name: str):
    settings, (topic, payload) = inputs()[name], PUBLISHED[name]
    parsing = settings["topic_parsing"][0]
    assert settings["topics"] == [parsing["topic"]]
    assert len(parsing["topic"].split("/")) == len(parsing["tags"].split("/")) == len(topic.split("/"))
    assert all(w in {"+", t} for w, t in zip(parsing["topic"].split("/"), topic.split("/"), strict=True))
    tags = dict(zip(parsing["tags"].split("/"), topic.split("/"), strict=True))
    assert tags["agent"] == "hall-3-box-1"
    document = json.loads(payload.to_json())
    fields = flattened(document)
    assert fields[settings["json_time_key"]].endswith("Z")
    assert all(isinstance(document[key], str) for key in settings.get("tag_keys", []))
    texts = settings.get("json_string_fields", [])
    kept = {k for k, v in fields.items() if matching(k, texts) or (not isinstance(v, (str, bool)))}
    for pattern in [*settings["fieldinclude"], *texts]:
        assert any(matching(field, [pattern]) for field in kept), f"{pattern} is no field of {name}"


def test_alerts_wait_at_the_broker_while_telegraf_is_away():
    alert = inputs()["asd_alert"]
    assert (alert["qos"], alert["persistent_session"]) == (1, True)
    assert alert["client_id"]
