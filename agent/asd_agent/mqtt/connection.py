"""One connection to a broker, made with a paho client of its own.

After a reconnect paho sends again what it still holds. A new client for each connection holds nothing, so that a row of
the outbox is in flight once or not at all. The client runs on its caller's thread, through paho's interface for an
outer event loop: no second thread can die unnoticed, and an error while connecting is raised as the exception it is.
"""

from __future__ import annotations

import random
import selectors
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from asd_agent.config.model import MqttSettings, Tls
from asd_agent.mqtt.faults import BrokerFault, connect_fault, lost_fault, refused_fault
from asd_agent.mqtt.limits import BrokerLimits
from asd_agent.small_files import read_small

CONNECT_SECONDS = 10.0
"""Limit for the name look-up, TCP, TLS and the broker's answer, each: generous for a slow link."""
LARGEST_PACKET = 65_536
"""Bytes; under MQTT 5 a broker does not send larger messages. A command may have 4096."""


@dataclass(frozen=True)
class Received:
    """A message from the broker.

    Attributes:
        topic: Topic of the publication.
        payload: Content as sent.
        retained: Whether it is, or was sent to be, a retained message.
    """

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True)
class Ack:
    """A broker's answer to a publication.

    Attributes:
        mid: Message id of the publication.
        refused: MQTT's name of the reason, for a reason code of 0x80 and above; None when it was accepted.
    """

    mid: int
    refused: str | None


class NotConnectedError(Exception):
    """The connection failed; `fault` holds the reason."""

    def __init__(self, fault: BrokerFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True)
class _LastWill:
    topic: str
    payload: str
    qos: int = 1
    retain: bool = True

    def weaker(self, refusal: str) -> _LastWill:
        """Return a will that the broker may accept, by MQTT's reason of its refusal; the same for another reason."""
        if refusal == "Retain not supported":
            return replace(self, retain=False)
        return replace(self, qos=0) if refusal == "QoS not supported" else self


class Connection:
    """An open connection, with a last will.

    Args:
        settings: The broker.
        client_id: Unique at the broker.
        will: Topic and payload that the broker publishes, retained, when this connection breaks.

    Attributes:
        acks: Answers to publications, to be taken by the caller.
        received: Messages of subscriptions, likewise.
        refused_subscriptions: Topic filters that the broker refused, likewise.
        fault: Reason why the connection ended; None while it is open.
        limits: What the broker announced that it accepts.

    Raises:
        NotConnectedError: The broker cannot be reached, or refused the connection.
    """

    def __init__(self, settings: MqttSettings, client_id: str, will: tuple[str, str]) -> None:
        self._settings = settings
        self.acks: deque[Ack] = deque()
        self.received: deque[Received] = deque()
        self.refused_subscriptions: deque[str] = deque()
        self.fault: BrokerFault | None = None
        self.limits = BrokerLimits()
        self.open = False
        self._closed = False
        self._filters: dict[int, str] = {}
        self._refusal = ""
        last_will = _LastWill(*will)
        while True:
            self._client = self._make(settings, client_id, last_will)
            try:
                self._connect()
            except BaseException as error:
                self._drop()
                weaker = last_will.weaker(self._refusal)
                if not isinstance(error, NotConnectedError) or weaker == last_will:
                    raise
                # The broker announces what it accepts only after it has refused the connection for its last will.
                last_will, self._closed, self.fault, self._refusal = weaker, False, None, ""
            else:
                return

    def publish(self, topic: str, payload: str, *, qos: int, retain: bool) -> int | None:
        """Send a message to the broker; return its id, or None when the connection is gone."""
        if not self.open:
            return None
        qos, retain = min(qos, self.limits.qos), retain and self.limits.retain
        info = self._client.publish(topic, payload.encode(), qos=qos, retain=retain)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; under MQTT 5 a new message also shows whether it was sent to be retained."""
        if self._settings.protocol == "5":
            _rc, mid = self._client.subscribe(topic_filter, options=SubscribeOptions(qos=1, retainAsPublished=True))
        else:
            _rc, mid = self._client.subscribe(topic_filter, qos=1)
        if mid is not None:
            self._filters[mid] = topic_filter

    def unsubscribe(self, topic_filter: str) -> None:
        """End a subscription."""
        self._client.unsubscribe(topic_filter)

    @property
    def backlog(self) -> bool:
        """True while bytes wait to be written to the network."""
        return bool(self._client.want_write())

    def exchange(self, timeout: float, wake: socket.socket | None = None) -> None:
        """Read and write bytes; return after `timeout` seconds, or as soon as any came or `wake` is readable."""
        sock = None if self._closed else self._client.socket()
        if sock is None:
            self.open = False
            return
        decrypted = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.backlog else 0)
            selector.register(sock, events)
            if wake is not None:
                selector.register(wake, selectors.EVENT_READ)
            ready = {key.fileobj: mask for key, mask in selector.select(0 if decrypted else timeout)}
        if wake is not None and wake in ready:
            wake.recv(4096)
        if decrypted or ready.get(sock, 0) & selectors.EVENT_READ:
            self._client.loop_read()
        if self.backlog:
            self._client.loop_write()
        self._client.loop_misc()

    def close(self, seconds: float = 1.0) -> None:
        """Disconnect, so that the broker does not publish the last will."""
        if self.open:
            self._client.disconnect()
            until = time.monotonic() + seconds
            while self.backlog and self._client.socket() is not None and time.monotonic() < until:
                self.exchange(0.05)
        self._drop()

    def abandon(self, fault: BrokerFault) -> None:
        """Close the connection without DISCONNECT, so that the broker publishes the last will."""
        self.fault = fault
        self._drop()

    def _make(self, settings: MqttSettings, client_id: str, will: _LastWill) -> paho.Client:
        v5 = settings.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            clean_session=None if v5 else True,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True
        client.connect_timeout = CONNECT_SECONDS
        client.will_set(will.topic, will.payload.encode(), qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        return client

    def _connect(self) -> None:
        settings = self._settings
        try:
            if settings.username is not None:
                secret = settings.password.read() if settings.password is not None else None
                self._client.username_pw_set(settings.username, secret)
            if settings.tls is not None:
                self._client.tls_set_context(tls_context(settings.tls))
            self._client.connect(
                settings.host, settings.port, keepalive=settings.keepalive_seconds, properties=_limits(settings)
            )
        except (OSError, ValueError) as error:
            raise NotConnectedError(connect_fault(error, settings)) from error
        until = time.monotonic() + CONNECT_SECONDS
        while not self.open:
            left = until - time.monotonic()
            if self._client.socket() is None:
                raise NotConnectedError(self.fault or connect_fault(EOFError(), settings))
            if left <= 0:
                raise NotConnectedError(connect_fault(TimeoutError(), settings))
            self.exchange(left)

    def _drop(self) -> None:
        self.open, self._closed = False, True
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refusal = reason.getName()
            self.fault = refused_fault(reason.getName(), self._settings)
        else:
            self.limits = BrokerLimits(
                packet_bytes=getattr(properties, "MaximumPacketSize", None),
                retain=bool(getattr(properties, "RetainAvailable", 1)),
                qos=int(getattr(properties, "MaximumQoS", 2)),
            )
            self.open = True

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if self.open and self.fault is None:
            name = reason.getName() if flags.is_disconnect_packet_from_server else ""
            self.fault = lost_fault(name, self._settings)
        self.open = False

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.acks.append(Ack(mid, reason.getName() if reason.is_failure else None))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.received.append(Received(message.topic, bytes(message.payload), bool(message.retain)))

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        topic_filter = self._filters.pop(mid, "")
        if any(r.is_failure for r in reasons):
            self.refused_subscriptions.append(topic_filter)


def _limits(settings: MqttSettings) -> Properties | None:
    if settings.protocol != "5":
        return None
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.MaximumPacketSize = LARGEST_PACKET
    return limits


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the TLS context: the trusted authorities and the own certificate; host names are always checked.

    Raises:
        OSError: A file is missing, or holds no certificate or key.
    """
    for key, path in (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        try:
            if path is not None:
                read_small(path)  # OpenSSL itself waits for a pipe and reads a device without end
        except OSError as error:
            raise OSError(f"mqtt.tls.{key} {path} cannot be read: {error.strerror}") from error
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except ssl.SSLError as error:
        raise OSError(f"mqtt.tls.ca {tls.ca} holds no certificate") from error
    except OSError as error:
        raise OSError(f"mqtt.tls.ca {tls.ca} cannot be read: {error.strerror}") from error
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except ssl.SSLError as error:
            raise OSError(f"mqtt.tls.certificate {tls.certificate} and key {tls.key} do not fit together") from error
        except OSError as error:
            raise OSError(f"mqtt.tls.certificate or key cannot be read: {error.strerror}") from error
    return context


class Backoff:
    """Waits between attempts to connect: they double up to a limit, each drawn from its upper half.

    The random part keeps a hall of agents from connecting all at once when their broker comes back.

    Args:
        shortest: First wait in seconds.
        longest: Limit in seconds.
        source: Source of randomness.
    """

    def __init__(self, shortest: float, longest: float, source: random.Random | None = None) -> None:
        self._shortest, self._longest = shortest, max(shortest, longest)
        self._random = source or random.Random()  # noqa: S311
        self._failures = 0

    def next(self) -> float:
        """Return the next wait in seconds."""
        wait = min(self._longest, self._shortest * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return wait * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again with the shortest wait, after a success."""
        self._failures = 0
