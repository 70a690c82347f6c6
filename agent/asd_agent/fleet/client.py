"""A connection to a broker for the fleet's commands: messages in, commands out."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from typing_extensions import Self

from asd_agent.config.model import MqttSettings
from asd_agent.errors import AsdError
from asd_agent.mqtt.connection import tls_context

CONNECT_SECONDS = 15.0
QUIET_SECONDS = 1.0
"""A broker sends its retained messages at once; after so long without one they are complete."""

Receive = Callable[[str, bytes], None]


class BrokerError(AsdError):
    """The broker cannot be reached, or refuses."""


class FleetClient:
    """Connected while it is entered.

    Args:
        settings: The broker.
        filters: Topics to subscribe to.
        receive: Called for each message, with a lock held, on a thread of its own.
    """

    def __init__(self, settings: MqttSettings, filters: Iterable[str], receive: Receive) -> None:
        self._settings, self._filters, self._receive = settings, list(filters), receive
        self.changed = threading.Condition()
        self._retained = 0
        self._subscribed, self._refusal = False, ""
        client = paho.Client(CallbackAPIVersion.VERSION2, f"asd-fleet-{uuid.uuid4().hex[:12]}", protocol=paho.MQTTv5)
        if settings.tls is not None:
            client.tls_set_context(tls_context(settings.tls))
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password.read() if settings.password else None)
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_subscribe = lambda *_: self._note_subscribed()
        self._client = client

    def __enter__(self) -> Self:
        place = f"MQTT broker {self._settings.host}:{self._settings.port}"
        try:
            self._client.connect(self._settings.host, self._settings.port, keepalive=30)
        except (OSError, ValueError) as error:
            raise BrokerError(f"{place} cannot be reached ({error})", "Check -h, --port and --ca.") from error
        self._client.loop_start()
        with self.changed:
            done = self.changed.wait_for(lambda: self._subscribed or self._refusal, CONNECT_SECONDS)
        if not done or self._refusal:
            self._client.loop_stop()
            raise BrokerError(f"{place}: {self._refusal or 'no answer'}", "Check --username and --password-file.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def settle(self, seconds: float) -> None:
        """Wait until the retained messages have come, for at most so many seconds."""
        until, seen = time.monotonic() + seconds, -1
        with self.changed:
            while seen != self._retained and (left := until - time.monotonic()) > 0:
                seen = self._retained
                self.changed.wait_for(lambda: self._retained != seen, min(QUIET_SECONDS, left))  # noqa: B023

    def publish(self, topic: str, payload: str) -> None:
        """Publish a message and wait until the broker has it.

        Raises:
            BrokerError: It has not accepted it in time.
        """
        info = self._client.publish(topic, payload, qos=1)
        info.wait_for_publish(CONNECT_SECONDS)
        if not info.is_published():
            raise BrokerError(f"the broker does not accept {topic}", "Let its access list allow it.")

    def _connected(self, client: paho.Client, _data: object, _flags: object, reason: object, _more: object) -> None:
        if getattr(reason, "is_failure", False):
            with self.changed:
                self._refusal = str(reason).lower()
                self.changed.notify_all()
            return
        client.subscribe([(topic, 1) for topic in self._filters])

    def _note_subscribed(self) -> None:
        with self.changed:
            self._subscribed = True
            self.changed.notify_all()

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with self.changed:
            # New reports carry no such flag: with many agents they never pause.
            self._retained += message.retain
            self._receive(message.topic, bytes(message.payload))
            self.changed.notify_all()
