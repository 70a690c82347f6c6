from __future__ import annotations

import json
import re

import pytest
from jinja2 import Environment

from asd_agent.alarm import EVENTS, AlarmState, Event, ScoredWindow
from asd_agent.clock import ClockReading, SystemClock
from asd_agent.monitor import Identity
from asd_agent.mqtt.home_assistant import MonitorDevice, announce, discovery
from asd_agent.mqtt.mapping import alert_of, monitor_state_of, score_of
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.store import Outbox
from rigs.broker import Broker, Listener

TOPICS = Topics("box")
CARDS = {"press": MonitorDevice("fan", "00", "mic", 5.0), "saw": MonitorDevice("saw", "01", "mic", 30.0)}
AGENT = "homeassistant/device/asd_box/config"
WINDOW = ScoredWindow(
    index=1, start=5.0, end=15.0, utc_end=1_800_000_010.0, verdict="scored", score=4.5, threshold=2.0, clear_level=1.5
)
NOW = ClockReading(1_800_000_011.5, 500.0, "boot-1")
IDENTITY = Identity("fan", "00", "source", "abc")
PRESS = "homeassistant/device/asd_box_press/config"


def found(**changes):
    return {t: json.loads(p) for t, p in discovery(TOPICS, "homeassistant", CARDS, **changes).items()}


def state_payload():
    state = AlarmState(monitor="box/press", severity=350, newest=WINDOW, last_raised_utc=NOW.utc)
    return monitor_state_of(state, IDENTITY, NOW)


def test_agent_and_monitors_are_devices_of_one_another():
    messages = found()
    assert list(messages) == [AGENT, PRESS, "homeassistant/device/asd_box_saw/config"]
    assert messages[PRESS]["device"]["via_device"] == messages[AGENT]["device"]["identifiers"][0]
    assert all(re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", t) for t in messages)


def test_what_home_assistant_demands_is_there():
    ids = []
    for message in found(commands=["acknowledge", "shelve", "unshelve"]).values():
        assert message["origin"]["name"]
        assert "availability" not in message
        for component in message["components"].values():
            ids.append(component["unique_id"])
            needed = "command_topic" if component["platform"] == "button" else "state_topic"
            assert component[needed].startswith("asd/box/")
            if "options" in component:
                assert component["device_class"] == "enum"
                assert not {"state_class", "unit_of_measurement"} & component.keys()
    assert len(set(ids)) == len(ids)


def test_entities_read_from_the_topics_that_are_published():
    press = found()[PRESS]["components"]
    assert press["anomaly"]["state_topic"] == TOPICS.monitor_state("press")
    assert press["alert"]["event_types"] == list(EVENTS)
    assert set(press["state"]["options"]) == {
        "normal",
        "active",
        "acknowledged",
        "returned",
        "shelved",
        "suspended",
        "out_of_service",
        "stale",
    }
    agent = found()[AGENT]["components"]
    assert agent["source_mic"]["state_topic"] == TOPICS.source_state("mic")
    assert "healthy" in agent["source_mic"]["options"]


def test_every_value_that_a_template_takes_is_one_that_is_published():
    samples = {
        TOPICS.monitor_state("press"): state_payload(),
        TOPICS.score("press"): score_of(WINDOW, IDENTITY),
        TOPICS.alert("press"): alert_of(Event("e1", "raised", "a1", 3, "active", 350, WINDOW, NOW), IDENTITY),
    }
    rendered = {}
    for key, component in found()[PRESS]["components"].items():
        if component == {"platform": "button"}:
            continue  # removed
        said = json.loads(samples[component["state_topic"]].to_json())
        rendered[key] = Environment().from_string(component["value_template"]).render(value_json=said)
    assert json.loads(rendered.pop("alert"))["event_type"] == "raised"
    assert rendered == {
        "anomaly": "OFF",
        "state": "normal",
        "severity": "350",
        "threshold": "2.0",
        "last_alarm": "2027-01-15T08:00:11.500Z",
        "score": "4.5",
    }


def test_what_was_judged_is_unavailable_while_agent_or_source_is_away_and_a_standing_alarm_is_not():
    press = found()[PRESS]["components"]
    for key in ("score", "threshold", "severity"):
        status, source = press[key]["availability"]
        assert (status["topic"], source["topic"]) == (TOPICS.status, TOPICS.source_state("mic"))
        template = Environment().from_string(source["value_template"])
        there = {state: template.render(value_json={"state": state}) for state in ("healthy", "silent", "stalled")}
        assert there == {"healthy": "online", "silent": "online", "stalled": "offline"}
    status, judged = press["anomaly"]["availability"]
    assert (status["topic"], judged["topic"]) == (TOPICS.status, TOPICS.monitor_state("press"))
    template = Environment().from_string(judged["value_template"])
    cases = {
        ("normal", False, False): "online",
        ("normal", True, False): "offline",
        ("normal", False, True): "offline",
        ("active", True, False): "online",
    }
    for (alarm, stale, away), expected in cases.items():
        assert template.render(value_json={"alarm": alarm, "stale": stale, "out_of_service": away}) == expected


def test_nothing_that_expires_reads_from_a_retained_topic():
    retained = TOPICS.retained(["press", "saw"], ["mic"])
    for message in found().values():
        for component in message["components"].values():
            assert not ("expire_after" in component and component["state_topic"] in retained)


def test_the_agent_s_own_connection_stays_visible_while_it_is_away():
    agent = found()[AGENT]["components"]
    assert "availability_topic" not in agent["status"]
    assert agent["waiting"]["availability_topic"] == TOPICS.status


def test_buttons_only_for_what_is_allowed():
    removed = {"platform": "button"}  # a component with a platform alone is removed
    buttons = {k: c for k, c in found()[PRESS]["components"].items() if c["platform"] == "button"}
    assert buttons == dict.fromkeys(["acknowledge", "shelve", "unshelve"], removed)
    components = found(commands=["shelve"])[PRESS]["components"]
    assert [k for k, c in components.items() if c["platform"] == "button" and c != removed] == ["shelve"]


@pytest.mark.rig
def test_home_assistant_is_told_again_when_it_starts_and_forgets_what_was_turned_off(tmp_path):
    clock = SystemClock()
    with Broker(tmp_path / "broker") as broker:
        outbox = Outbox(tmp_path / "o.db", clock)
        publisher = Publisher(broker.settings(), "box", outbox, clock)
        announce(publisher, "homeassistant", CARDS)
        publisher.publish_state(TOPICS.monitor_state("press"), "{}")
        with Listener(broker.settings(), "#") as listener:
            publisher.start()
            listener.wait_for(TOPICS.monitor_state("press"))
            listener.publish("homeassistant/status", "online")
            listener.wait_for(TOPICS.monitor_state("press"), 2)
            listener.wait_for(PRESS, 2)
            order = [m.topic for m in listener.heard]
            assert order.index(PRESS) < order.index(TOPICS.monitor_state("press"))
            publisher.stop()
            without = Publisher(broker.settings(), "box", outbox, clock)
            without.keep_retained(TOPICS.retained(CARDS, ["mic"]))
            without.start()
            listener.wait_text(PRESS, "")
            listener.wait_text(AGENT, "")
            without.stop()
            outbox.close()


def test_devices_link_to_the_page_where_there_is_one():
    messages = discovery(TOPICS, "homeassistant", CARDS, public_url="https://box.plant/asd")
    links = {json.loads(text)["device"].get("configuration_url") for text in messages.values()}
    assert links == {
        "https://box.plant/asd",
        "https://box.plant/asd/machines/press",
        "https://box.plant/asd/machines/saw",
    }
    plain = discovery(TOPICS, "homeassistant", CARDS)
    assert not any("configuration_url" in json.loads(text)["device"] for text in plain.values())
