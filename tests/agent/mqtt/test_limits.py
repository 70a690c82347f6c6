"""Limits that a broker announces are honoured: a message that fits is sent, one that cannot be made to fit is named."""

from __future__ import annotations

import json

from asd_agent.mqtt.limits import BrokerLimits, packet_size

ALERT = {
    "schema": "asd.alert/1",
    "id": "e1",
    "score": 4.5,
    "experts": {"autoencoder": 5.0, "level": 1.0},
    "explanation": {"text": "x" * 300, "bands_hz": []},
    "quality": {"verdict": "scored", "suspect": False, "reasons": []},
    "evidence": None,
}


def test_a_message_within_the_limit_is_sent_as_it_is():
    text = json.dumps(ALERT)
    assert BrokerLimits().shortened("t", text) == text
    assert BrokerLimits(packet_bytes=packet_size("t", text)).shortened("t", text) == text


def test_an_alert_loses_its_explanation_before_anything_else():
    shorter = BrokerLimits(packet_bytes=300).shortened("t", json.dumps(ALERT))
    assert shorter is not None
    document = json.loads(shorter)
    assert document["explanation"] is None
    assert document["experts"] == ALERT["experts"]
    assert packet_size("t", shorter) <= 300


def test_what_cannot_be_made_to_fit_is_not_sent():
    assert BrokerLimits(packet_bytes=60).shortened("t", json.dumps(ALERT)) is None
    assert BrokerLimits(packet_bytes=60).shortened("t", "no json " * 20) is None


def test_health_loses_its_parts_and_keeps_its_faults():
    health = {"schema": "asd.health/1", "monitors": {"m" * 50: {}}, "sources": {}, "faults": {"broker": "x"}}
    shorter = BrokerLimits(packet_bytes=110).shortened("t", json.dumps(health))
    assert shorter is not None
    assert json.loads(shorter) == {"schema": "asd.health/1", "monitors": {}, "sources": {}, "faults": {"broker": "x"}}
