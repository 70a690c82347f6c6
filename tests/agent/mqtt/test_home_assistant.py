from __future__ import annotations

import json
import re

import pytest
from jinja2 import Environment

from asd_agent.alarm import EVENTS, AlarmState, Event, ScoredWindow
from asd_agent.clock import ClockReading, SystemClock
from asd_agent.monitor import Identity
from asd_agent.mqtt.health import Health
from asd_agent.mqtt.home_assistant import DiscoveryOptions, MonitorDevice, announce, discovery
from asd_agent.mqtt.mapping import alert_of, monitor_state_of, score_of
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.store import Outbox
from rigs.broker import Broker, Listener
from rigs.healthy import HEALTH

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
    messages = discovery(TOPICS, "homeassistant", CARDS, DiscoveryOptions(**changes))
    return {t: json.loads(p) for t, p in messages.items()}


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
    for message in found(commands=["acknowledge", "shelve", "unshelve"], pictures=True, updates=True).values():
        assert message["origin"]["name"]
        assert "availability" not in message
        for component in message["components"].values():
            ids.append(component["unique_id"])
            needed = {"button": "command_topic", "image": "image_topic"}.get(component["platform"], "state_topic")
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
        if list(component) == ["platform"]:
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
        announce(publisher, "homeassistant", CARDS, DiscoveryOptions())
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
    messages = found(public_url="https://box.plant/asd")
    links = {message["device"].get("configuration_url") for message in messages.values()}
    assert links == {
        "https://box.plant/asd",
        "https://box.plant/asd/machines/press",
        "https://box.plant/asd/machines/saw",
    }
    assert not any("configuration_url" in message["device"] for message in found().values())


def test_the_picture_is_read_from_its_own_topic_and_only_where_there_are_pictures():
    picture = found(pictures=True)[PRESS]["components"]["picture"]
    assert (picture["image_topic"], picture["image_encoding"]) == (TOPICS.picture("press"), "b64")
    assert not any("availab" in key for key in picture)  # it means something also while the agent is away
    assert found()[PRESS]["components"]["picture"] == {"platform": "image"}


DIGEST = "0123456789ab" + "0" * 52


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"latest_version": "fan 0123456789ab", "in_progress": False, "release_summary": ""}),
        ({"trial": True}, {"latest_version": "fan 0123456789ab", "in_progress": True, "release_summary": ""}),
        (
            {"returned": "ba9876543210", "reason": "9 of the first 12 windows exceed the raise level"},
            {
                "latest_version": "fan ba9876543210",
                "in_progress": False,
                "release_summary": "9 of the first 12 windows exceed the raise level",
            },
        ),
    ],
)
def test_the_update_entity_shows_the_bundle_in_use_and_one_that_did_not_prove_itself(changes, expected):
    update = found(updates=True)[PRESS]["components"]["bundle"]
    assert update["state_topic"] == TOPICS.health
    assert "command_topic" not in update  # a roll-out needs URL and digest
    used = {"name": "fan", "digest": DIGEST, **changes}
    inventory = {"machine": "", "model": "", "configuration": "", "installs_bundles": True, "bundles": {"press": used}}
    health = Health.model_validate({**HEALTH.model_dump(by_alias=True), "inventory": inventory})
    template = Environment().from_string(update["value_template"])
    rendered = json.loads(template.render(value_json=json.loads(health.to_json())))
    assert rendered == {"installed_version": "fan 0123456789ab", "title": "fan", **expected}


def test_the_update_entity_ignores_a_report_without_its_bundle():
    template = Environment().from_string(found(updates=True)[PRESS]["components"]["bundle"]["value_template"])
    for inventory in (None, {"bundles": {}}):
        assert template.render(value_json={"inventory": inventory}) == ""
    assert found()[PRESS]["components"]["bundle"] == {"platform": "update"}
