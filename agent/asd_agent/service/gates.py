"""Gates that follow an MQTT topic: messages that report whether a machine runs, applied to its monitors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from asd_agent.clock import Clock
from asd_agent.config.model import TopicGate
from asd_agent.monitor import MachineState, Monitor
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.publisher import Publisher

MOST_BYTES = 65_536
"""A message of this size is read as JSON in a millisecond; a longer one reports no state."""


def machine_state(gate: TopicGate, payload: bytes) -> MachineState:
    """Return what a message reports: the machine runs, is stopped, or neither can be read from it.

    Args:
        gate: Path and comparison.
        payload: The message as received.

    Example:
        >>> machine_state(TopicGate(topic="plant/press", json_path="motor.rpm", above=100), b'{"motor": {"rpm": 1450}}')
        'running'
    """
    if len(payload) > MOST_BYTES:
        return "unknown"
    text = payload.decode("utf-8", "replace").strip()
    if gate.json_path is not None:
        try:
            text = _text_at(json.loads(text), gate.steps)
        except (ValueError, LookupError, TypeError, RecursionError):
            return "unknown"
    if gate.equals is not None:
        return "running" if text == gate.equals else "stopped"
    try:
        number = float(text)
    except ValueError:
        return "unknown"
    if math.isnan(number):
        return "unknown"
    inside = (gate.above is None or number > gate.above) and (gate.below is None or number < gate.below)
    return "running" if inside else "stopped"


def _text_at(value: Any, steps: Iterable[str | int]) -> str:
    """Return the value at a path as text: a string as it is, anything else as JSON writes it."""
    for step in steps:
        if isinstance(step, int) != isinstance(value, list):
            raise LookupError(step)
        value = value[step]
    return value.strip() if isinstance(value, str) else json.dumps(value)


class TopicGates:
    """Subscriptions to the topics that monitors name in `active_when`; one topic may serve several monitors.

    Args:
        publisher: Connection to the broker.
        clock: Time of arrival.
    """

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        self._publisher, self._clock = publisher, clock
        self._topics: dict[str, _Topic] = {}

    def follow(self, monitors: Iterable[Monitor]) -> None:
        """Subscribe for these monitors, and end the subscriptions that none of them needs.

        A monitor that is new on a known topic starts with the topic's last message.
        """
        wanted: dict[str, list[tuple[TopicGate, Monitor]]] = {}
        for monitor in monitors:
            gate = monitor.settings.active_when
            if isinstance(gate, TopicGate):
                wanted.setdefault(gate.topic, []).append((gate, monitor))
        for name in set(self._topics) - set(wanted):
            self._publisher.unsubscribe(name)
        now = self._clock.monotonic()
        self._topics = {name: self._topics.get(name) or _Topic(now) for name in wanted}
        for name, served in wanted.items():
            topic = self._topics[name]
            topic.served = tuple(served)
            topic.apply(now)
            self._publisher.subscribe(name, topic.inbox)

    def receive(self) -> None:
        """Apply the messages that have arrived since the last call, and the time without one."""
        now = self._clock.monotonic()
        for topic in self._topics.values():
            messages, _ = topic.inbox.take()
            for message in messages:
                topic.payload, topic.since = message.payload, now
            if messages or topic.can_time_out:
                topic.apply(now)


class _Topic:
    """One topic: its last message, when it came, and the gates that follow it.

    Args:
        since: Monotonic time of the subscription.
    """

    def __init__(self, since: float) -> None:
        self.inbox = Inbox(1, keep_newest=True)  # only the last message counts
        self.served: tuple[tuple[TopicGate, Monitor], ...] = ()
        self.payload: bytes | None = None
        self.since = since

    @property
    def can_time_out(self) -> bool:
        """True where a gate holds a message for a limited time only."""
        return any(gate.timeout_seconds is not None for gate, _ in self.served)

    def apply(self, now: float) -> None:
        """Give every monitor the state that its gate reads; before the first message the machine counts as running."""
        for gate, monitor in self.served:
            if gate.timeout_seconds is not None and now - self.since > gate.timeout_seconds:
                monitor.machine_state = "unknown"
            elif self.payload is not None:
                monitor.machine_state = machine_state(gate, self.payload)
