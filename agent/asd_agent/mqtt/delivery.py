"""Publications in flight: one row of the outbox at a time and a few retained states, each until its answer.

A row that the broker refuses stays stored, and its topic is held back for a while. So is a row on which connections
break again and again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from asd_agent.clock import Clock
from asd_agent.mqtt.connection import Connection
from asd_agent.mqtt.faults import BrokerFault, Faults
from asd_agent.mqtt.limits import packet_size
from asd_agent.outbox.schema import OutboxRow
from asd_agent.outbox.store import Outbox

LATE_SECONDS = 10.0
"""A row that waited longer is marked late; a connected broker acknowledges in well under a second."""
ACK_SECONDS = 20.0
"""Without an answer to a publication for so long, the connection counts as dead."""
STATES_IN_FLIGHT = 8
"""With one row beside them well below 20, which Mosquitto accepts by default (max_inflight_messages)."""
STRIKES = 3
"""A row that was in flight when so many connections broke is held back for a while."""
HOLD_SECONDS = (5.0, 300.0)
"""Time for which a refused topic is held back: the first time, and at most."""
BROKEN_HOLD_SECONDS = 30.0
"""The same at most for a topic on which connections break: the network may be the cause."""


@dataclass
class DeliveryCounts:
    """Counts of publications since the start.

    Attributes:
        sent: Alerts and events that the broker acknowledged.
        late: Those of them that were marked late.
        refused: Publications that the broker refused.
    """

    sent: int = 0
    late: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Settled:
    """Answers of the broker about retained topics.

    Attributes:
        refused: Topics whose state it refused; to be sent again.
        cleared: Topics that it no longer retains.
    """

    refused: list[str]
    cleared: list[str]


@dataclass(frozen=True)
class _Flight:
    """A publication without an answer: a row of the outbox, or the state of a retained topic (empty to clear it)."""

    topic: str
    since: float
    row: OutboxRow | None = None
    state: str = ""
    late: bool = False


class Delivery:
    """Sends rows and states over one connection after the other.

    Args:
        outbox: Store of the rows.
        clock: The clocks.
        faults: Present faults, to which refusals are added.
    """

    def __init__(self, outbox: Outbox, clock: Clock, faults: Faults) -> None:
        self._outbox, self._clock, self._faults = outbox, clock, faults
        self.counts = DeliveryCounts()
        self._connection: Connection | None = None
        self._since = 0.0
        self._flights: dict[int, _Flight] = {}
        self._held: dict[str, float] = {}
        self._refusals: dict[str, int] = {}
        self._strikes: dict[str, int] = {}
        self._too_large: set[str] = set()
        self._packet_bytes: int | None = None

    def begin(self, connection: Connection) -> None:
        """Use a new connection; nothing is in flight on it yet."""
        self._connection, self._since = connection, self._clock.monotonic()
        self._flights.clear()
        self._too_large.clear()  # the broker may have been given another limit
        limits = connection.limits
        if limits.packet_bytes != self._packet_bytes:
            self._faults.clear("packet size", "MQTT broker announces another limit of packets")
        self._packet_bytes = limits.packet_bytes
        if limits.qos < 1 or not limits.retain:
            lacks = [what for lacking, what in ((limits.qos < 1, "QoS 1"), (not limits.retain, "retain")) if lacking]
            what = f"MQTT broker does not offer {' and '.join(lacks)}"
            remedy = (
                "Alerts are sent without an acknowledgement"
                if limits.qos < 1
                else "Readers that start later see no state"
            )
            self._faults.set("broker limits", BrokerFault(what, remedy))
        else:
            self._faults.clear("broker limits", "MQTT broker offers QoS 1 and retain")

    def end(self, *, broken: bool) -> None:
        """End the connection; if it broke, its row may be the cause: a broker closes on a message that is too large."""
        row = next((f.row for f in self._flights.values() if f.row is not None), None)
        self._flights.clear()
        self._connection = None
        if row is None or not broken:
            return
        strikes = self._strikes[row.message.id] = self._strikes.get(row.message.id, 0) + 1
        if strikes >= STRIKES:
            self._hold(row.message.topic, BROKEN_HOLD_SECONDS)
            what = f"MQTT connections break on a message for {row.message.topic}"
            self._faults.set("refused", BrokerFault(what, "Is it larger than the broker allows?"))

    @property
    def in_flight(self) -> bool:
        """True while any publication waits for its answer."""
        return bool(self._flights)

    @property
    def room(self) -> bool:
        """True while another state may be sent."""
        open_ = self._connection is not None and self._connection.open
        return open_ and sum(f.row is None for f in self._flights.values()) < STATES_IN_FLIGHT

    def idle(self) -> bool:
        """Return whether nothing is in flight and no row could be."""
        return not self._flights and self._outbox.next(self.holding(), self._too_large) is None

    def stuck(self) -> bool:
        """Return whether an answer is overdue."""
        oldest = min((f.since for f in self._flights.values()), default=None)
        return oldest is not None and self._clock.monotonic() - oldest > ACK_SECONDS

    def holding(self) -> list[str]:
        """Return the topics that are held back now."""
        now = self._clock.monotonic()
        self._held = {topic: until for topic, until in self._held.items() if until > now}
        return list(self._held)

    def send_state(self, topic: str, text: str, *, qos: int = 1) -> None:
        """Publish a topic's retained message; an empty one clears it."""
        if self._connection is None:
            return
        short = self._connection.limits.shortened(topic, text)
        if short is None:
            self._name_too_large(topic, text)
            return
        mid = self._connection.publish(topic, short, qos=qos, retain=True)
        if mid is not None and qos > 0 and self._connection.limits.qos > 0:
            self._flights[mid] = _Flight(topic, self._clock.monotonic(), state=text)

    def send_row(self) -> bool:
        """Publish the next row, unless one is in flight.

        Returns:
            Whether the next one can go at once, since no answer is awaited for this one.
        """
        if self._connection is None or any(f.row is not None for f in self._flights.values()):
            return False
        row = self._outbox.next(self.holding(), self._too_large)
        if row is None:
            return False
        late, limits = self._late(row), self._connection.limits
        whole = _text(row, late=late)
        text = limits.shortened(row.message.topic, whole)
        if text is None:
            # It stays stored until a broker accepts it; those behind it go first.
            self._name_too_large(row.message.topic, whole)
            self._too_large.add(row.message.id)
            self.counts.refused += 1
            return True
        mid = self._connection.publish(row.message.topic, text, qos=1, retain=False)
        if mid is None:
            return False
        flight = _Flight(row.message.topic, self._clock.monotonic(), row, late=late)
        if limits.qos < 1:
            self._accept(flight)
            return True
        self._flights[mid] = flight
        return False

    def _name_too_large(self, topic: str, text: str) -> None:
        limit = self._connection.limits.packet_bytes if self._connection else None
        what = f"a message of {packet_size(topic, text)} bytes for {topic} exceeds the broker's limit of {limit}"
        self._faults.set(
            "packet size", BrokerFault(what, "It is kept and not sent. Raise max_packet_size at the broker")
        )

    def settle(self) -> Settled:
        """Take the broker's answers and return those about retained topics."""
        refused: list[str] = []
        cleared: list[str] = []
        while self._connection is not None and self._connection.acks:
            ack = self._connection.acks.popleft()
            flight = self._flights.pop(ack.mid, None)
            if flight is None:
                continue
            if ack.refused is not None:
                self._refuse(flight.topic, ack.refused)
                refused += [] if flight.row else [flight.topic]
                continue
            self._accept(flight)
            cleared += [] if flight.row or flight.state else [flight.topic]
        return Settled(refused, cleared)

    def _accept(self, flight: _Flight) -> None:
        if self._refusals.pop(flight.topic, None) is not None and not self._refusals:
            self._faults.clear("refused", "MQTT broker accepts every publication again")
        if flight.row is not None:
            self._strikes.pop(flight.row.message.id, None)
            self._outbox.done(flight.row)
            self.counts.sent += 1
            self.counts.late += flight.late

    def _refuse(self, topic: str, reason: str) -> None:
        self.counts.refused += 1
        self._hold(topic, HOLD_SECONDS[1])
        remedy = "Let the broker's access list allow this agent to write there; alerts are kept and tried again"
        self._faults.set("refused", BrokerFault(f"MQTT broker refuses {topic}: {reason.lower()}", remedy))

    def _hold(self, topic: str, longest: float) -> None:
        count = self._refusals[topic] = self._refusals.get(topic, 0) + 1
        self._held[topic] = self._clock.monotonic() + min(longest, HOLD_SECONDS[0] * 2.0 ** min(count - 1, 10))

    def _late(self, row: OutboxRow) -> bool:
        """Return whether a row has waited: for a while, or since before the present connection."""
        before = row.boot_id != self._clock.boot_id or row.stored_monotonic < self._since
        return before or row.age(self._clock) > LATE_SECONDS


def _text(row: OutboxRow, *, late: bool) -> str:
    """Return the payload with `late` and `durable`, which are known only when it is sent."""
    fields = json.loads(row.message.payload)
    if "late" not in fields:
        return row.message.payload
    fields["late"], fields["durable"] = late, row.durable
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
