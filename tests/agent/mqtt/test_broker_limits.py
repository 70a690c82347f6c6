"""Brokers that accept less than MQTT offers: small packets, no retained messages, QoS 0 alone; on a real Mosquitto."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from asd_agent.alarm import Event, ScoredWindow
from asd_agent.clock import ClockReading, SystemClock
from asd_agent.inference.explanation import Explanation
from asd_agent.monitor import Identity
from asd_agent.mqtt.limits import BrokerLimits
from asd_agent.mqtt.mapping import alert_of, message_of
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.store import Outbox
from rigs.broker import Broker, Listener
from rigs.waiting import wait_until

pytestmark = pytest.mark.rig
TOPICS = Topics("hall-3")
MONITORS = [f"fan-{i}" for i in range(10)]
HEALTH = json.dumps(
    {"schema": "asd.health/1", "inventory": {"monitors": [{"name": m, "x": "y" * 300} for m in MONITORS]}}
)


def alert(number: int):
    """The alert of one monitor; each has another number of bands in its explanation and a note of another length."""
    window = ScoredWindow(
        index=number, start=0.0, end=10.0, utc_start=1e9, utc_end=1e9 + 10, verdict="scored", suspect=False, reasons=(),
        score=4.5, threshold=2.0, clear_level=1.5, experts={f"expert-{i}": 1.0 for i in range(number % 7)},
        explanation=Explanation("unusual " * (number % 11), ((2000.0, 4100.0),) * (number % 13)),
    )  # fmt: skip
    monitor = MONITORS[number % len(MONITORS)]
    event = Event(
        f"e{number}", "raised", "a1", number, "active", 350, window, ClockReading(1e9, 0.0, "b", synchronised=True),
        monitor=f"hall-3/{monitor}",
    )  # fmt: skip
    payload = alert_of(event, Identity("fan", "00", "source", "sha256:ab"))
    return message_of(TOPICS.alert(monitor), payload.model_copy(update={"note": "n" * (40 * number)}))


ALERTS = [alert(number) for number in range(40)]


@pytest.mark.parametrize(
    ("line", "limits", "words"),
    [
        ("max_packet_size 700", BrokerLimits(700), "limit of 700"),
        ("max_packet_size 1500", BrokerLimits(1500), "limit of 1500"),
        ("max_packet_size 10000", BrokerLimits(10000), ""),
        ("retain_available false", BrokerLimits(retain=False), "retain"),
        ("max_qos 0", BrokerLimits(qos=0), "QoS 1"),
    ],
)
def test_every_alert_that_fits_arrives_and_the_rest_is_named(tmp_path, line, limits, words):
    fit = {a.id for a in ALERTS if replace(limits).shortened(a.topic, a.payload)}
    with Broker(tmp_path / "broker", extra=line) as broker, Listener(broker.settings(protocol="3.1.1")) as listener:
        outbox = Outbox(tmp_path / "box.db", SystemClock())
        publisher = Publisher(broker.settings(), "hall-3", outbox, SystemClock())
        publisher.publish_state(TOPICS.health, HEALTH)
        outbox.commit("fan", "1", ALERTS)
        publisher.start()
        try:

            def arrived() -> set[str]:
                return {o["id"] for m in MONITORS for o in listener.objects(TOPICS.alert(m))}

            wait_until(lambda: arrived() >= fit, lambda: f"{len(arrived())} of {len(fit)}: {publisher.faults}")
            wait_until(lambda: outbox.depth() == len(ALERTS) - len(fit), lambda: str(publisher.faults))
            assert arrived() == fit
            # The first row that does not fit is met after the last answer.
            wait_until(lambda: words in " ".join(publisher.faults.values()), lambda: str(publisher.faults))
            faults = " ".join(publisher.faults.values())
            assert bool(faults) == bool(words)
        finally:
            publisher.stop(5)
            outbox.close()


def test_a_broker_with_a_larger_limit_gets_the_rest_and_ends_the_fault(tmp_path):
    with Broker(tmp_path / "broker", extra="max_packet_size 700") as broker:
        outbox = Outbox(tmp_path / "box.db", SystemClock())
        publisher = Publisher(broker.settings(), "hall-3", outbox, SystemClock())
        outbox.commit("fan", "1", ALERTS)
        publisher.start()
        try:
            wait_until(lambda: "packet size" in publisher.faults, lambda: str(publisher.faults))
            broker.stop()
            broker.config.write_text(broker.config.read_text().replace("max_packet_size 700", ""))
            broker.start()
            wait_until(lambda: outbox.depth() == 0, lambda: str(publisher.faults))
            wait_until(lambda: publisher.faults == {}, lambda: str(publisher.faults))
        finally:
            publisher.stop(5)
            outbox.close()
