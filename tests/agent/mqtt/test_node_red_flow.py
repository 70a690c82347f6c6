"""The example flows for Node-RED: whole, on the agent's own topics, with commands and metrics that fit its payloads."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from asd_agent.alarm import AlarmState, Event, ScoredWindow
from asd_agent.clock import ClockReading
from asd_agent.monitor import Identity
from asd_agent.mqtt.mapping import alert_of, monitor_state_of
from asd_agent.mqtt.payloads import OFFLINE, ONLINE, Command
from asd_agent.mqtt.topics import Topics
from rigs.broker import program

DOCS = Path(__file__).parents[3] / "docs"
FLOWS = {
    name: {n["id"]: n for n in json.loads((DOCS / name).read_text())}
    for name in ("node-red.json", "node-red-sparkplug.json")
}
NODES, SPARKPLUG = FLOWS.values()
TOPICS = Topics("box")


@pytest.mark.parametrize("name", FLOWS)
def test_every_wire_and_every_node_leads_somewhere(name: str):
    nodes = FLOWS[name]
    tabs = {n["id"] for n in nodes.values() if n["type"] == "tab"}
    for node in nodes.values():
        assert {end for wire in node.get("wires", []) for end in wire} <= set(nodes)
        assert node.get("z") in tabs or "x" not in node
        assert node.get("broker") in nodes or "broker" not in node or node["type"].endswith("-broker")
        assert len(node.get("wires", [])) == node.get("outputs", len(node.get("wires", [])))


@pytest.mark.parametrize(
    ("node", "topic"),
    [("asd-alerts", TOPICS.alert("m")), ("asd-status", TOPICS.status), ("asd-results", TOPICS.command_result)],
)
def test_it_listens_to_the_agents_topics(node: str, topic: str):
    assert paho.topic_matches_sub(NODES[node]["topic"], topic)


def test_its_command_has_the_keys_that_the_agent_wants():
    code = NODES["asd-command"]["func"]
    assert "'asd/' + msg.agent + '/command/acknowledge'" in code
    assert set(re.findall(r"^    (\w+):", code, re.MULTILINE)) <= {"schema", *Command.model_fields}
    Command.model_validate_json(
        '{"schema": "asd.command/1", "id": "nr-0123456789abcdef", "monitor": "m", "by": "Node-RED", '
        '"expires": "2027-01-15T08:00:00.000Z"}'
    )


NOW = ClockReading(1_800_000_011.5, 500.0, "boot-1")
IDENTITY = Identity("fan", "00", "source", "abc")
WINDOW = ScoredWindow(
    index=1, start=5.0, end=15.0, utc_end=1_800_000_010.0, verdict="scored", score=4.5, threshold=2.0, clear_level=1.5
)
PHASES = {"active": (True, False), "acknowledged": (True, True), "normal": (False, False)}
OF_TYPE: dict[str, tuple[type, ...]] = {"String": (str,), "Boolean": (bool,), "Int32": (int,), "Double": (int, float)}
RUN = """
const flow = JSON.parse(process.argv[1]), stored = {};
const context = {get: key => stored[key], set: (key, value) => { stored[key] = value; }};
const run = new Function('msg', 'context', flow.code);
console.log(JSON.stringify(flow.messages.map(msg => run(msg, context).payload.metrics)));
"""


def metrics_of(*messages: tuple[str, Any]) -> list[dict[str, Any]]:
    """Metrics of each message, by name, as Node-RED's function makes them."""
    sent = [{"topic": topic, "payload": payload} for topic, payload in messages]
    argument = json.dumps({"code": SPARKPLUG["asd-sp-metrics"]["func"], "messages": sent})
    done = subprocess.run(
        [program("node"), "-e", RUN, argument], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [{m["name"]: m for m in metrics} for metrics in json.loads(done.stdout)]


def alert(*, late: bool = False) -> dict[str, Any]:
    payload = alert_of(Event("e1", "raised", "a1", 3, "active", 350, WINDOW, NOW), IDENTITY)
    return dict(json.loads(payload.model_copy(update={"late": late}).to_json()))


def state(phase: str) -> dict[str, Any]:
    found = AlarmState(monitor="box/press", severity=350, newest=WINDOW, phase=phase, announced=True)  # type: ignore[arg-type]
    return dict(json.loads(monitor_state_of(found, IDENTITY, NOW).to_json()))


def test_the_sparkplug_flow_reads_what_one_monitor_publishes():
    agent = Topics("hall-3-box-1")
    read = {n["topic"] for n in SPARKPLUG.values() if n["type"] == "mqtt in"}
    assert read == {agent.monitor_state("press-3-fan"), agent.alert("press-3-fan"), agent.status}


def test_the_first_message_gives_birth_to_every_metric_and_each_has_its_type():
    declared = {n: m["dataType"] for n, m in SPARKPLUG["asd-sp-device"]["metrics"].items()}
    messages = metrics_of(
        (TOPICS.status, ONLINE), (TOPICS.monitor_state("m"), state("active")), (TOPICS.alert("m"), alert())
    )
    assert set(messages[0]) == set(declared)
    assert {n for n, m in messages[0].items() if m["value"] is not None} == {"Online"}
    assert {name for found in messages[1:] for name in found} == set(declared) - {"Online"}
    for found in messages:
        for name, metric in found.items():
            assert metric["type"] == declared[name]
            assert metric["value"] is None or isinstance(metric["value"], OF_TYPE[declared[name]])


@pytest.mark.parametrize("phase", PHASES)
def test_a_state_becomes_metrics(phase: str):
    (found,) = metrics_of((TOPICS.monitor_state("m"), state(phase)))
    assert (found["Alarm"]["value"], found["Acknowledged"]["value"]) == PHASES[phase]
    assert [found[n]["value"] for n in ("Severity", "Score", "Threshold")] == [350, 4.5, 2.0]
    assert found["Score"]["timestamp"] == round(NOW.utc * 1000)


@pytest.mark.parametrize("late", [False, True])
def test_an_alert_becomes_metrics_and_a_late_one_is_historical(late: bool):
    (found,) = metrics_of((TOPICS.alert("m"), alert(late=late)))
    assert [found[f"Last Event/{n}"]["value"] for n in ("Id", "Name", "Test")] == ["e1", "raised", False]
    assert found["Last Event/Text"]["value"]
    assert found["Last Event/Id"]["isHistorical"] is late


def test_an_agent_that_is_gone_shows():
    online, offline = metrics_of((TOPICS.status, ONLINE), (TOPICS.status, OFFLINE))
    assert (online["Online"]["value"], offline["Online"]["value"]) == (True, False)
