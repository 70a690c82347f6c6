"""Subscriber of the demo: a process of its own that subscribes over TCP and prints each alert that it receives.

Run as `python -m asd_agent.demo.subscriber HOST PORT TOPIC`; it prints `{"ready": true}` once it is subscribed, then
one JSON document a line, until its standard input closes.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

RETRY_SECONDS = 1


def main(host: str, port: int, topic: str) -> None:
    """Print messages of a topic until standard input closes."""
    lock = threading.Lock()

    def write(document: dict[str, Any]) -> None:
        with lock:
            sys.stdout.write(json.dumps(document) + "\n")
            sys.stdout.flush()

    # A persistent session: the broker keeps messages for it while it reconnects.
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id="asd-demo-subscriber", clean_session=False, protocol=mqtt.MQTTv311
    )
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
    client.on_subscribe = lambda *_: write({"ready": True})
    client.on_message = lambda _c, _u, message: write({"topic": message.topic, "alert": json.loads(message.payload)})
    client.reconnect_delay_set(RETRY_SECONDS, RETRY_SECONDS)
    client.connect_async(host, port)
    client.loop_start()
    sys.stdin.read()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
