"""The example flow for Node-RED: whole, on the agent's own topics, with a command that the agent takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from asd_agent.mqtt.payloads import Command
from asd_agent.mqtt.topics import Topics

NODES = {n["id"]: n for n in json.loads((Path(__file__).parents[3] / "docs" / "node-red.json").read_text())}
TOPICS = Topics("box")


def test_every_wire_and_every_node_leads_somewhere():
    for node in NODES.values():
        assert {end for wire in node.get("wires", []) for end in wire} <= set(NODES)
        assert node.get("z", "asd-flow") in NODES
        assert node.get("broker", "asd-broker") in NODES or node["type"] == "mqtt-broker"
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
