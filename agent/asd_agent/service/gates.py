"""Gates that follow an MQTT topic: messages that report whether a machine runs, applied to its monitors."""

from __future__ import annotations

from collections.abc import Iterable

from asd_agent.config.model import TopicGate
from asd_agent.monitor import Monitor
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.publisher import Publisher


class TopicGates:
    """Subscriptions to the topics that monitors name in `active_when`; one topic may serve several monitors.

    Args:
        publisher: Connection to the broker.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._gates: dict[str, _Gate] = {}

    def follow(self, monitors: Iterable[Monitor]) -> None:
        """Subscribe for these monitors, and end the subscriptions that none of them needs.

        A monitor that is new on a known topic starts with the topic's last message.
        """
        wanted: dict[str, list[Monitor]] = {}
        for monitor in monitors:
            gate = monitor.settings.active_when
            if isinstance(gate, TopicGate):
                wanted.setdefault(gate.topic, []).append(monitor)
        for topic in set(self._gates) - set(wanted):
            self._publisher.unsubscribe(topic)
        self._gates = {topic: self._gates.get(topic) or _Gate() for topic in wanted}
        for topic, served in wanted.items():
            gate_ = self._gates[topic]
            gate_.monitors = tuple(served)
            gate_.apply()
            self._publisher.subscribe(topic, gate_.inbox)

    def receive(self) -> None:
        """Apply the messages that have arrived since the last call."""
        for gate in self._gates.values():
            messages, _ = gate.inbox.take()
            for message in messages:
                gate.text = message.payload.decode("utf-8", "replace").strip()
                gate.apply()


class _Gate:
    """One topic: its last message and the monitors that follow it."""

    def __init__(self) -> None:
        self.inbox = Inbox(1, keep_newest=True)  # only the last message counts
        self.monitors: tuple[Monitor, ...] = ()
        self.text: str | None = None

    def apply(self) -> None:
        """Give the last message to every monitor, if there was one."""
        if self.text is not None:
            for monitor in self.monitors:
                monitor.receive_gate(self.text)
