"""The table of all agents of a broker, and the roll-out that stops at the first failure, on a real Mosquitto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from asd_agent.cli import main
from asd_agent.demo.broker import free_port
from asd_agent.fleet.view import FleetView
from rigs.broker import Broker
from rigs.command import call
from rigs.light_agent import LightAgent

pytestmark = pytest.mark.rig
DIGEST = "a" * 64


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as found:
        yield found


def fleet(broker: Broker, *arguments: object) -> tuple[int, dict]:
    done = call(main, "fleet", "-h", "127.0.0.1", "-p", broker.port, *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def roll_out(broker: Broker, *arguments: object):
    command = ("roll-out", "http://x/fan.tar", "-p", broker.port, "--sha256", DIGEST, "--watch", 0)
    return call(main, "fleet", *command, *arguments)


def test_one_row_an_agent_those_with_trouble_first_and_an_exit_code(broker: Broker):
    settings = broker.settings()
    with LightAgent(settings, "hall-3-a"), LightAgent(settings, "hall-3-b") as second:
        code, document = fleet(broker)
        assert (code, [r["state"] for r in document["agents"]]) == (0, ["online", "online"])
        second.monitor("active")
        code, document = fleet(broker)
        assert (code, [r["agent"] for r in document["agents"]]) == (1, ["hall-3-b", "hall-3-a"])
        assert document["agents"][0]["alarms"] == 1
    code, document = fleet(broker)
    assert (code, {r["state"] for r in document["agents"]}) == (1, {"offline"})


def test_the_document_holds_what_each_agent_reports_of_its_levels(broker: Broker):
    note = "9 alarms in 2.0 days that nobody has judged true; calibrate it"
    with LightAgent(broker.settings(), "a", levels={"press": note}), LightAgent(broker.settings(), "b", levels=None):
        _, document = fleet(broker)
    assert {r["agent"]: r["level_notes"] for r in document["agents"]} == {"a": {"press": note}, "b": {}}


def test_the_table_of_a_person_fits_80_columns(broker: Broker):
    faults = {"broker": "no such host"}
    with LightAgent(broker.settings(), "a-rather-long-name-of-a-box", faults=faults):
        done = call(main, "fleet", "-p", broker.port)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["agent", "state", "alarms", "not", "judged", "faults", "version", "seen"]
    assert max(map(len, lines[:2])) <= 80
    assert "fault of broker: no such host" in done.stdout


def test_a_broker_without_agents_and_no_broker_fail_with_a_reason(broker: Broker):
    done = call(main, "fleet", "-p", broker.port)
    assert (done.returncode, done.stdout) == (1, "no agent has reported to this broker\n")
    done = call(main, "fleet", "-p", free_port())
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def health(boot: str, machine: str) -> bytes:
    return json.dumps({"boot_id": boot, "inventory": {"machine": machine}, "faults": {}}).encode()


@pytest.mark.parametrize(
    ("reports", "duplicate"),
    [
        ([("b1", "m1"), ("b1", "m1")], False),
        ([("b1", "m1"), ("b2", "m1")], False),  # it was started again
        ([("b1", "m1"), ("b2", "m2")], True),  # two boxes
        ([("b1", ""), ("b2", ""), ("b1", "")], True),  # in turn, from boxes without an id
    ],
)
def test_two_boxes_of_one_name_are_found(reports: list[tuple[str, str]], duplicate: bool):
    view = FleetView()
    for report in reports:
        view.take("asd/box/health", health(*report))
    assert view.agents["box"].duplicate is duplicate


def test_hostile_messages_are_ignored():
    view = FleetView()
    for topic, payload in [
        ("asd/x/health", b"\xff{"),
        ("asd/x/health", b"[]"),
        ("asd/x", b""),
        ("asd/y/monitor/m/state", b""),
    ]:
        view.take(topic, payload)
    assert view.agents == {}


def test_a_roll_out_stops_at_the_first_failure_and_leaves_the_others_alone(broker: Broker):
    settings = broker.settings()
    with ExitStack() as stack:
        boxes = [stack.enter_context(LightAgent(settings, f"hall-3-{n}")) for n in range(2)]
        bad = stack.enter_context(LightAgent(settings, "hall-3-2", stages=("accepted", "activated", "returned")))
        after = stack.enter_context(LightAgent(settings, "hall-3-3"))
        other = stack.enter_context(LightAgent(settings, "hall-4-0"))
        done = roll_out(broker, "--to", "hall-3-*", "--json")
        document = json.loads(done.stdout)
    assert done.returncode == 1
    assert [(b["agent"], b["outcome"]) for b in document["boxes"]] == [
        ("hall-3-0", "done"), ("hall-3-1", "done"), ("hall-3-2", "failed"), ("hall-3-3", "untouched"),
    ]  # fmt: skip
    assert document["boxes"][2]["text"] == "it is returned"
    assert [len(b.commands) for b in (*boxes, bad, after, other)] == [1, 1, 1, 0, 0]
    assert boxes[0].commands[0]["sha256"] == DIGEST


def test_a_canary_with_a_new_alarm_ends_the_roll_out(broker: Broker):
    class Raising(LightAgent):
        def _answer(self, *arguments):
            super()._answer(*arguments)
            self._client.publish(f"asd/{self.name}/monitor/m/state", json.dumps({"state": "active"}), retain=True)

    settings = broker.settings()
    with Raising(settings, "a"), LightAgent(settings, "b") as second:
        done = roll_out(broker, "--to", "*", "--canary", 1, "--watch", 60, "--json")
    assert json.loads(done.stdout)["boxes"][0]["text"] == "after the installation: monitor m is active"
    assert second.commands == []


def test_nothing_is_sent_where_one_box_cannot_take_part(broker: Broker):
    settings = broker.settings()
    with LightAgent(settings, "a") as first, LightAgent(settings, "b", inventory=None):
        done = roll_out(broker, "--to", "*")
        assert "b: the command install_bundle is off" in done.stderr
        assert "no agent fits hall-9-*" in roll_out(broker, "--to", "hall-9-*").stderr
    assert first.commands == []
