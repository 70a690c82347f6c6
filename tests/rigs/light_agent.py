"""Agents reduced to what a broker sees of them: states, health, and answers to `install_bundle`."""

from __future__ import annotations

import json
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from typing_extensions import Self

from asd_agent.clock import iso_utc
from asd_agent.config.model import MqttSettings
from rigs.healthy import HEALTH
from rigs.waiting import PATIENCE


class LightAgent:
    """One agent, connected while it is entered.

    Args:
        settings: The broker.
        name: Its name.
        stages: Stages that it answers a command with.
        more: Changes of its health report.
    """

    def __init__(
        self,
        settings: MqttSettings,
        name: str,
        stages: tuple[str, ...] = ("accepted", "activated", "proved"),
        **more: Any,
    ) -> None:
        self.name, self._stages, self._address = name, stages, (settings.host, settings.port)
        self.commands: list[dict[str, Any]] = []
        self.health = {
            **HEALTH.model_dump(mode="json", by_alias=True),
            "faults": {},
            "inventory": {
                "machine": name,
                "model": "test",
                "configuration": "",
                "bundles": {"m": {"name": "fan", "digest": "0" * 64}},
                "installs_bundles": True,
            },
            **more,
        }
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"light-{name}-{id(self)}")
        self._client.will_set(f"asd/{name}/status", "offline", qos=1, retain=True)
        self._client.on_connect = lambda client, *_: client.subscribe(f"asd/{name}/command/install_bundle", qos=1)
        self._client.on_message = self._answer

    def __enter__(self) -> Self:
        self._client.connect(*self._address)
        self._client.loop_start()
        self._publish("status", "online")
        self.report()
        self.monitor("normal")
        return self

    def __exit__(self, *_: object) -> None:
        self._publish("status", "offline")
        self._client.disconnect()
        self._client.loop_stop()

    def report(self, **more: Any) -> None:
        """Publish health."""
        self.health = {**self.health, "time": iso_utc(time.time()), **more}
        self._publish("health", json.dumps(self.health))

    def monitor(self, state: str) -> None:
        """Publish the state of the monitor `m`."""
        self._publish("monitor/m/state", json.dumps({"schema": "asd.monitor/1", "state": state}))

    def _publish(self, topic: str, payload: str, *, retain: bool = True) -> None:
        info = self._client.publish(f"asd/{self.name}/{topic}", payload, qos=1, retain=retain)
        info.wait_for_publish(PATIENCE)

    def _answer(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        command = json.loads(message.payload)
        self.commands.append(command)
        for stage in self._stages:
            answer = {
                "id": command["id"], "verb": "install_bundle", "done": stage == "proved", "stage": stage,
                "text": f"it is {stage}", "monitor": None, "by": "", "time": iso_utc(time.time()),
            }  # fmt: skip
            client.publish(f"asd/{self.name}/command/result", json.dumps(answer), qos=1)
