"""The publisher: one thread that keeps a connection to the broker and sends the outbox through it, row by row."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Collection

import paho.mqtt.client as paho

from asd_agent.clock import Clock
from asd_agent.config.model import MqttSettings
from asd_agent.mqtt.connection import Backoff, Connection, NotConnectedError
from asd_agent.mqtt.delivery import Delivery, DeliveryCounts
from asd_agent.mqtt.faults import BrokerFault, Faults, flapping_fault
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.payloads import OFFLINE, ONLINE, Payload
from asd_agent.mqtt.retained import RetainedStates
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.store import Outbox

log = logging.getLogger(__name__)

STABLE_SECONDS = 10.0
"""A connection that lasted this long resets the waits between attempts."""
SHORT_LIVED = 3
"""So many shorter connections in a row are a fault of their own, until one lasts."""
FLUSH_SECONDS = 10.0
"""Time between two attempts to write to a disk that refuses."""
SCORES_HELD = 256
"""Scores that may wait for the thread: one cycle of the service scores far fewer."""
MOST_FAILURES = 5
"""Unexpected errors in a row after which the watchdog is no longer fed: a restart may help, silence does not."""
BEAT_SECONDS = 180.0
"""A thread without a cycle for so long counts as hung; a name look-up and connecting may take most of it."""


class Publisher:
    """Publishes alerts from the outbox, retained states and scores; its methods may be called from any thread.

    Args:
        settings: The broker.
        agent_name: Name of the agent, the second part of every topic.
        outbox: Store of alerts until a broker has acknowledged them.
        clock: The clocks.
        wake: Set whenever a received message waits in an inbox.
    """

    def __init__(
        self,
        settings: MqttSettings,
        agent_name: str,
        outbox: Outbox,
        clock: Clock,
        wake: threading.Event | None = None,
    ) -> None:
        self.topics = Topics(agent_name)
        self._settings, self._outbox, self._clock = settings, outbox, clock
        self._states = RetainedStates(outbox, self.topics.status)
        self._faults = Faults()
        self._backoff = Backoff(*settings.reconnect_seconds)
        self._scores: deque[tuple[str, str]] = deque(maxlen=SCORES_HELD)
        self._inboxes: dict[str, Inbox] = {}
        self._optional: frozenset[str] = frozenset()
        self._received = wake or threading.Event()
        self._republish_on: tuple[str, bytes] | None = None
        self._subscribed: set[str] = set()
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._stop_at = 0.0
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._beat = clock.monotonic()
        self._delivery = Delivery(outbox, clock, self._faults)
        self._flushed = 0.0
        self._began = 0.0
        self._short_lived = 0
        self.scores_dropped = 0
        """Scores not published: there was no connection, or it was too slow."""
        self.connects = 0
        self._failures = 0

    def start(self) -> None:
        """Start the thread; return at once, whether or not a broker answers."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Send what can be sent within `timeout` seconds, publish `offline` and disconnect; the rest stays stored."""
        self._stop_at = self._clock.monotonic() + timeout
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout + 1.0)
        if not self._thread.is_alive():
            self._wake_in.close()
            self._wake_out.close()

    def subscribe(self, topic_filter: str, inbox: Inbox, *, optional: bool = False) -> None:
        """Put messages of a topic filter into an inbox, in place of any inbox before it.

        Args:
            topic_filter: MQTT filter.
            inbox: Where its messages go.
            optional: Whether a broker that refuses the subscription is no fault.
        """
        if optional:
            self._optional = self._optional | {topic_filter}
        # Replaced whole: the publisher's thread iterates over it without a lock.
        self._inboxes = {**self._inboxes, topic_filter: inbox}
        self.wake()

    def unsubscribe(self, topic_filter: str) -> None:
        """End the subscription to a topic filter."""
        self._inboxes = {f: inbox for f, inbox in self._inboxes.items() if f != topic_filter}
        self.wake()

    def republish_on(self, topic: str, payload: bytes) -> None:
        """Publish every retained value again whenever this message arrives: its sender has lost them."""
        self._republish_on = topic, payload
        self.wake()

    def keep_retained(self, topics: Collection[str]) -> None:
        """Set the topics that may stay retained; others that this agent once retained are cleared on connecting."""
        self._states.keep(topics)

    def clear(self, topics: Collection[str]) -> None:
        """Clear the retained messages of these topics, now or on connecting."""
        self._states.clear(topics)
        self.wake()

    def publish_state(self, topic: str, payload: Payload | str) -> None:
        """Publish the retained value of a topic, now or on connecting; only the newest value is sent."""
        self._states.set(topic, payload if isinstance(payload, str) else payload.to_json())
        self.wake()

    def publish_score(self, topic: str, payload: Payload | str) -> None:
        """Publish a window's score if there is a connection now; else drop and count it."""
        if not self.connected or len(self._scores) == SCORES_HELD:
            self.scores_dropped += 1
        if self.connected:
            self._scores.append((topic, payload if isinstance(payload, str) else payload.to_json()))
            self.wake()

    def wake(self) -> None:
        """Let the thread read the outbox now; call it after a commit."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"\0")

    @property
    def connected(self) -> bool:
        """True while a broker accepts messages over the present connection."""
        return self._connected.is_set()

    @property
    def delivery_counts(self) -> DeliveryCounts:
        """Counts of alerts and events since the start."""
        return self._delivery.counts

    def wait_connected(self, timeout: float) -> bool:
        """Wait until a broker has accepted a connection; return whether one has."""
        return self._connected.wait(timeout)

    @property
    def faults(self) -> dict[str, str]:
        """Present faults between the agent and its broker, in words, by part."""
        fault = self._outbox.fault or self._outbox.damage
        return {**self._faults.texts(), **({"outbox": fault} if fault else {})}

    def alive(self) -> bool:
        """Return whether the thread runs its cycles and does not fail in each; a broker that is down is no failure."""
        runs = self._thread.is_alive() and self._clock.monotonic() - self._beat < BEAT_SECONDS
        return runs and self._failures < MOST_FAILURES

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._beat = self._clock.monotonic()
            try:
                self._once()
            except Exception as error:
                # The thread must outlive any error: it logs it and connects again.
                log.exception("publisher: an unexpected error ended the connection; it connects again")
                self._failures += 1
                what = f"publisher fails {self._failures} times in a row: {type(error).__name__}: {error}"
                self._faults.set("publisher", BrokerFault(what[:500], "No alert leaves this box; see its log"))
            self._connected.clear()
            self._pause(self._backoff.next())
        self._connected.clear()

    def _once(self) -> None:
        """Run one connection from its beginning to its end."""
        try:
            connection = Connection(self._settings, f"asd-{self.topics.agent}", (self.topics.status, OFFLINE))
        except NotConnectedError as error:
            self._faults.set("broker", error.fault)
            return
        self._began = self._clock.monotonic()
        try:
            self._begin(connection)
            while connection.open and not self._finished():
                self._cycle(connection)
            if connection.open:
                self._publish_offline(connection)
        finally:
            self._connected.clear()
            connection.close()
            self._delivery.end(broken=not self._stopping.is_set())
            if self._clock.monotonic() - self._began >= STABLE_SECONDS:
                self._short_lived = 0
                self._note_success()
                self._backoff.reset()
            else:
                self._short_lived += 1
        if connection.fault is not None and not self._stopping.is_set():
            flaps = self._short_lived >= SHORT_LIVED
            self._faults.set("broker", flapping_fault(self._settings) if flaps else connection.fault)

    def _note_stable(self) -> None:
        self._short_lived = 0
        self._note_success()
        self._clear_fault()

    def _note_success(self) -> None:
        if self._failures:
            self._failures = 0
            self._faults.clear("publisher", "publisher works again")

    def _clear_fault(self) -> None:
        self._faults.clear("broker", f"connected to MQTT broker {self._settings.host}:{self._settings.port}")

    def _begin(self, connection: Connection) -> None:
        if self._short_lived < SHORT_LIVED:
            self._clear_fault()
        self.connects += 1
        self._delivery.begin(connection)
        self._states.connected()
        self._delivery.send_state(self.topics.status, ONLINE)
        self._subscribed = set()
        self._follow_subscriptions(connection)
        self._connected.set()

    def _cycle(self, connection: Connection) -> None:
        self._beat = self._clock.monotonic()
        self._flush()
        if self._short_lived and self._beat - self._began >= STABLE_SECONDS:
            self._note_stable()
        while self._scores:
            topic, text = self._scores.popleft()
            if connection.backlog:
                self.scores_dropped += 1
            else:
                connection.publish(topic, text, qos=0, retain=False)
        self._follow_subscriptions(connection)
        self._send_states(connection)
        at_once = self._delivery.send_row() and not connection.backlog
        connection.exchange(0.0 if at_once else 0.5, self._wake_in)
        self._receive(connection)
        self._settle()
        if self._delivery.stuck():
            connection.abandon(
                BrokerFault(
                    f"MQTT broker {self._settings.host}: it does not acknowledge publications", "Alerts are kept"
                )
            )

    def _follow_subscriptions(self, connection: Connection) -> None:
        wanted = {*self._inboxes, *([self._republish_on[0]] if self._republish_on else [])}
        for topic_filter in sorted(wanted - self._subscribed):
            connection.subscribe(topic_filter)
        for topic_filter in sorted(self._subscribed - wanted):
            connection.unsubscribe(topic_filter)
        self._subscribed = wanted

    def _finished(self) -> bool:
        if not self._stopping.is_set():
            return False
        # A last second is left for `offline`.
        return self._clock.monotonic() >= self._stop_at - 1.0 or (not self._states.waiting and self._delivery.idle())

    def _publish_offline(self, connection: Connection) -> None:
        self._delivery.begin(connection)
        self._delivery.send_state(self.topics.status, OFFLINE)
        until = max(self._stop_at, self._clock.monotonic() + 1.0)
        while connection.open and self._delivery.in_flight and self._clock.monotonic() < until:
            connection.exchange(0.1)
            self._delivery.settle()

    def _send_states(self, connection: Connection) -> None:
        held = self._delivery.holding()
        while self._delivery.room and not connection.backlog and (found := self._states.next(held)) is not None:
            topic, text = found
            self._delivery.send_state(topic, text, qos=0 if topic == self.topics.health else 1)

    def _settle(self) -> None:
        settled = self._delivery.settle()
        self._states.settle(settled.refused, settled.cleared)

    def _receive(self, connection: Connection) -> None:
        while connection.refused_subscriptions:
            refused = connection.refused_subscriptions.popleft()
            if refused in self._optional:
                continue
            remedy = "Let the broker's access list allow this agent to read it"
            self._faults.set("subscription", BrokerFault(f"MQTT broker refuses the subscription to {refused}", remedy))
        while connection.received:
            message = connection.received.popleft()
            for topic_filter, inbox in self._inboxes.items():
                if paho.topic_matches_sub(topic_filter, message.topic):
                    inbox.put(message)
                    self._received.set()
            if self._republish_on == (message.topic, message.payload):
                self._states.resend()

    def _flush(self) -> None:
        if self._beat - self._flushed >= FLUSH_SECONDS:
            self._flushed = self._beat
            self._outbox.flush()

    def _pause(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0 and not self._stopping.is_set():
            self._beat = self._clock.monotonic()
            self._flush()
            self._stopping.wait(min(1.0, left))
