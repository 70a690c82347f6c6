from __future__ import annotations

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asd_agent.alarm import AlarmState, apply_action
from asd_agent.clock import ClockReading, iso_utc
from asd_agent.config.model import AlarmSettings
from asd_agent.mqtt import commands
from asd_agent.mqtt.commands import MAX_WAITING, CommandReceiver
from asd_agent.mqtt.connection import Received
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox import schema
from asd_agent.outbox.store import Outbox

TOPICS = Topics("box")


class Service:
    """A receiver that allows shelving on two monitors, and the part of the service that applies its commands."""

    def __init__(self, folder, clock, allowed=("shelve", "unshelve")):
        self.clock = clock
        self.outbox = Outbox(folder / "o.db", clock)
        self.receiver = CommandReceiver(TOPICS, allowed, ["fan", "pump"], self.outbox, clock)
        self.states = {name: AlarmState(monitor=f"box/{name}") for name in ("fan", "pump")}

    def send(self, verb="shelve", payload=None, *, retained=False, **changes):
        fields = {"schema": "asd.command/1", "id": "c1", "monitor": "fan", "minutes": 10.0, "by": "Ada"}
        fields["expires"] = iso_utc(self.clock.utc() + 60)
        text = payload if payload is not None else json.dumps({**fields, **changes}).encode()
        self.receiver.inbox.put(Received(TOPICS.command(verb), text, retained))
        return self.cycle()

    def cycle(self):
        """Apply all commands and return the answers."""
        now = ClockReading.read(self.clock)
        for accepted in self.receiver.take():
            name = accepted.command.monitor
            settings_ = AlarmSettings()
            self.states[name], _events, result = apply_action(
                self.states[name], accepted.verb, accepted.args, settings_, now
            )
            answer, record = self.receiver.answer(accepted, result)
            self.outbox.commit(name, self.states[name].to_json(), [answer], record)
        answers = []
        while (row := self.outbox.next()) is not None:
            assert row.message.topic == TOPICS.command_result
            answers.append(json.loads(row.message.payload))
            self.outbox.done(row)
        return answers


@pytest.fixture
def service(tmp_path, clock):
    return Service(tmp_path, clock)


def test_an_allowed_command_takes_effect_is_answered_and_logged(service):
    (answer,) = service.send()
    assert service.states["fan"].state == "shelved"
    assert service.states["pump"].state == "normal"
    assert (answer["id"], answer["verb"], answer["monitor"], answer["by"], answer["done"]) == (
        "c1",
        "shelve",
        "fan",
        "Ada",
        True,
    )
    ((_utc, record),) = service.outbox.records()
    assert (record.id, record.done) == ("c1", True)
    assert "Ada" in record.request


def test_what_the_alarm_refuses_is_answered_with_its_reason(service):
    (answer,) = service.send(minutes=1e6)
    assert answer["done"] is False
    assert "max_shelve_minutes" in answer["text"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verb": "acknowledge"}, "not allowed here; agent.yaml allows shelve, unshelve"),
        ({"retained": True}, "retained"),
        ({"monitor": "press"}, "no monitor 'press'"),
        ({"expires": "2001-01-01T00:00:00.000Z"}, "expired"),
        ({"expires": "2031-01-01T00:00:00.000Z"}, "hour"),
        ({"expires": "2027-01-15T08:00:30"}, "no UTC time"),
        ({"expires": "soon"}, "no UTC time"),
        ({"expires": "9999-12-31T23:59:59-23:59"}, "hour"),
        ({"id": "a b"}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"minutes": "10"}, "minutes"),
        ({"minutes": 10**400}, "minutes"),
        ({"explode": True}, "explode"),
        ({"payload": b"shelve please"}, "not understood"),
        ({"payload": b"\xff\xfe{}"}, "not understood"),
        ({"payload": b"[" * 4000}, "not understood"),
        ({"payload": b" " * 5000}, "4096"),
        ({"payload": b""}, "not understood"),
    ],
)
def test_what_is_wrong_changes_nothing_and_is_answered_and_logged(service, changes, words):
    (answer,) = service.send(**changes)
    assert answer["done"] is False
    assert words in answer["text"]
    assert all(s.state == "normal" for s in service.states.values())
    assert len(service.outbox.records()) == 1


def test_a_replayed_command_does_nothing_and_gets_the_first_answer(service, tmp_path, clock):
    service.send()
    service.send("unshelve", id="c2")
    (again,) = service.send()
    assert service.states["fan"].state == "normal"
    assert again["text"] == "seen before: shelved for 10 minutes"
    after_a_restart = Service(tmp_path, clock)
    (again,) = after_a_restart.send()
    assert after_a_restart.states["fan"].state == "normal"
    assert "seen before" in again["text"]


def test_a_flood_of_refused_commands_does_not_let_an_applied_one_be_replayed(service, monkeypatch):
    monkeypatch.setattr(schema, "RECORDS", 5)
    monkeypatch.setattr(commands, "SEEN_IN_MEMORY", 1)
    service.send()
    service.send("unshelve", id="c2")
    for number in range(12):
        service.send(payload=b"noise", id=str(number))
    (again,) = service.send()
    assert again["text"].startswith("seen before")
    assert len(service.outbox.records()) == 2 + 5


def test_a_home_assistant_button_is_understood(service):
    rendered = {"by": "Home Assistant", "expires": "2027-01-15T08:00:59.743486+00:00", "id": "ha-1795396945.743182"}
    text = json.dumps({**rendered, "minutes": 60, "monitor": "press", "schema": "asd.command/1"})
    (answer,) = service.send(payload=text.replace("press", "fan").encode())
    assert (answer["done"], answer["text"]) == (True, "shelved for 60 minutes")


def test_two_copies_at_once_are_applied_once(service):
    now = iso_utc(service.clock.utc() + 60)
    fields = {"schema": "asd.command/1", "id": "c1", "monitor": "fan", "expires": now, "one_shot": True}
    received = Received(TOPICS.command("shelve"), json.dumps(fields).encode(), False)
    service.receiver.inbox.put(received)
    service.receiver.inbox.put(received)
    assert sorted(a["done"] for a in service.cycle()) == [False, True]


def test_a_refused_command_may_be_mended_and_sent_again(service):
    service.send(monitor="press")
    (answer,) = service.send()
    assert answer["done"] is True


def test_an_untimely_command_is_told_the_time_here_and_whether_to_trust_it(service, monkeypatch):
    monkeypatch.setattr(service.clock.__class__, "synchronised", lambda _self: False)
    (answer,) = service.send(expires="2027-01-15T07:59:59Z")
    assert answer["text"].startswith("expired: by this agent's clock it is 2027-01-15T08:00:00.000Z, a clock that no")


def test_a_flood_is_bounded_and_said(service, caplog):
    for _ in range(MAX_WAITING + 7):
        service.receiver.inbox.put(Received(TOPICS.command("shelve"), b"{}", False))
    with caplog.at_level(logging.WARNING):
        assert len(service.cycle()) == MAX_WAITING
    assert "7 commands were dropped" in caplog.text


def test_with_nothing_allowed_nothing_is_subscribed_to(tmp_path, clock):
    subscribed = []

    class Subscriptions:
        def subscribe(self, topic, _inbox):
            subscribed.append(topic)

    Service(tmp_path, clock, allowed=()).receiver.attach(Subscriptions())
    assert subscribed == []


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
near_commands = st.fixed_dictionaries(
    {},
    optional={
        "schema": st.just("asd.command/1") | json_values,
        "id": st.text(max_size=8) | st.just("c9") | json_values,
        "monitor": st.sampled_from(["fan", "pump", "x/y"]) | json_values,
        "expires": st.sampled_from(["2027-01-15T08:00:30.000Z", "0001-01-01T00:00:00+23:59"]) | st.text(max_size=40),
        "minutes": st.floats() | st.integers() | json_values,
        "one_shot": st.booleans() | json_values,
        "alarm_id": st.text(max_size=8) | json_values,
        "extra": json_values,
    },
)
payloads = st.binary(max_size=200) | st.builds(lambda v: json.dumps(v).encode(), near_commands | json_values)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(["shelve", "unshelve", "acknowledge", "result"]), payloads, st.booleans())
def test_no_message_harms_the_receiver_and_each_is_answered(service, verb, payload, retained):
    before = service.states["fan"]
    (answer,) = service.send(verb, payload, retained=retained)
    assert isinstance(answer["text"], str)
    if verb not in {"shelve", "unshelve"} or retained:
        assert answer["done"] is False
        assert service.states["fan"].seq == before.seq
    assert all("\x1b" not in r.request for _utc, r in service.outbox.records(1))
