"""The access list in docs/examples does what it says, on a real Mosquitto."""

from __future__ import annotations

import subprocess
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from rigs.broker import Broker, program
from rigs.waiting import PATIENCE, wait_until

ACL = Path(__file__).parents[3] / "docs" / "examples" / "mosquitto.acl"
USERS = ("hall-3-box-1", "hall-4-box-1", "viewer", "operator", "deployer", "homeassistant")

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acl")
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for user in USERS:
        subprocess.run([program("mosquitto_passwd"), "-b", passwords, user, user], check=True, capture_output=True)
    with Broker(folder / "b", acl=ACL.read_text(), extra=f"password_file {passwords}\nallow_anonymous false") as found:
        yield found


def may_publish(broker, user, topic):
    """Return whether the broker allows a publication: under MQTT 5 its PUBACK has the reason."""
    reasons = []
    client = paho.Client(CallbackAPIVersion.VERSION2, f"p-{user}", protocol=paho.MQTTv5)
    client.username_pw_set(user, user)
    client.on_publish = lambda _c, _d, _m, reason, _p: reasons.append(reason)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish(topic, "x", qos=1).wait_for_publish(PATIENCE)
    client.disconnect()
    client.loop_stop()
    return not reasons[0].is_failure


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("hall-3-box-1", "asd/hall-3-box-1/monitor/fan/alert", True),
        ("hall-3-box-1", "asd/hall-4-box-1/monitor/fan/alert", False),
        ("hall-3-box-1", "asd/hall-4-box-1/command/shelve", False),
        ("hall-3-box-1", "homeassistant/device/asd_hall-3-box-1/config", True),
        ("hall-4-box-1", "homeassistant/device/asd_hall-4-box-1/config", False),
        ("hall-4-box-1", "asd/hall-4-box-1/status", True),
        ("viewer", "asd/hall-3-box-1/command/shelve", False),
        ("viewer", "asd/hall-3-box-1/status", False),
        ("operator", "asd/hall-3-box-1/command/shelve", True),
        ("operator", "asd/hall-3-box-1/command/erase", False),
        ("operator", "asd/hall-3-box-1/command/install_bundle", False),
        ("deployer", "asd/hall-3-box-1/command/install_bundle", True),
        ("deployer", "asd/hall-3-box-1/command/shelve", False),
        ("operator", "asd/hall-3-box-1/monitor/fan/alert", False),
        ("homeassistant", "asd/hall-3-box-1/command/acknowledge", True),
        ("homeassistant", "asd/hall-3-box-1/command/install_bundle", False),
    ],
)
def test_each_user_may_say_what_is_its_own(broker, user, topic, allowed):
    assert may_publish(broker, user, topic) is allowed


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("hall-3-box-1", "asd/hall-3-box-1/command/shelve", True),
        ("hall-3-box-1", "asd/hall-4-box-1/command/shelve", False),
        ("viewer", "asd/hall-3-box-1/monitor/fan/alert", True),
    ],
)
def test_each_user_hears_what_is_meant_for_it(broker, user, topic, allowed):
    # Mosquitto grants every subscription and holds back what may not be read.
    heard, granted = [], []
    client = paho.Client(CallbackAPIVersion.VERSION2, f"s-{user}")
    client.username_pw_set(user, user)
    client.on_message = lambda _c, _d, message: heard.append(message.topic)
    client.on_subscribe = lambda *given: granted.append(given)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.subscribe(topic, qos=1)
    client.subscribe(f"asd/{user}/#", qos=1)
    wait_until(lambda: len(granted) == 2, "the broker does not answer the subscriptions")
    speaker = "operator" if "command" in topic else "hall-3-box-1"
    assert may_publish(broker, speaker, topic)
    end = "asd/hall-3-box-1/command/unshelve" if user == "hall-3-box-1" else topic
    sent = 0
    while not heard or (heard[-1] != end and sent < 50):
        assert may_publish(broker, speaker, end)
        sent += 1
    client.disconnect()
    client.loop_stop()
    assert (topic in heard) is allowed
