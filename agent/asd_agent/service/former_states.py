"""States that a broker holds of monitors whose own state is lost with the whole folder: read once, and continued."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asd_agent.clock import ClockReading
from asd_agent.monitor import Monitor, MonitorEvents
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.notices import AgentNotice


class FormerStates:
    """Asks the broker for the retained state of each monitor that begins anew.

    The subscription precedes the first state that is published, so the first message is what readers have seen so far.

    Args:
        publisher: Connection to the broker.
        topics: Topics of this agent.
    """

    def __init__(self, publisher: Publisher, topics: Topics) -> None:
        self._publisher, self._topics = publisher, topics
        self._asked: dict[str, Inbox] = {}

    def follow(self, monitors: Iterable[Monitor]) -> None:
        """Ask for the states of those among these monitors that have had no event yet."""
        for monitor in monitors:
            if monitor.state.seq == 0 and monitor.name not in self._asked:
                self._asked[monitor.name] = Inbox(1)
                topic = self._topics.monitor_state(monitor.name)
                self._publisher.subscribe(topic, self._asked[monitor.name], optional=True)

    def receive(
        self, monitors: Mapping[str, Monitor], now: ClockReading
    ) -> Iterator[tuple[MonitorEvents, AgentNotice]]:
        """Yield each monitor that continues above a former state, with its events and a notice of the loss."""
        for name, inbox in list(self._asked.items()):
            messages, _ = inbox.take()
            if not messages:
                continue
            self._publisher.unsubscribe(self._topics.monitor_state(name))
            self._asked[name] = Inbox(1)
            former, monitor = _read(messages[0].payload), monitors.get(name)
            seq = former.get("seq")
            if monitor is None or not isinstance(seq, int) or isinstance(seq, bool) or seq <= monitor.state.seq:
                continue
            standing = former.get("alarm_id")
            events = monitor.continue_above(seq, standing if isinstance(standing, str) else None, now)
            text = f"nothing is stored of monitor {name}, whose last event the broker knows as number {seq}"
            yield (monitor, events), AgentNotice("outbox_reset", name, f"{text}; alerts may be lost")


def _read(payload: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(payload) if len(payload) < 65_536 else None
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}
