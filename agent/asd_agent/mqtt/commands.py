"""Commands over MQTT: off unless allowed verb by verb, each judged, answered and logged, none obeyed twice.

A command is JSON on `command/<verb>` (docs/schemas/command.json). It carries an id and an expiry; a retained one, one
seen before, expired, too large or not understood changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from asd_agent.alarm import CommandResult
from asd_agent.clock import Clock, iso_utc
from asd_agent.mqtt.connection import Received
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.payloads import Command, CommandAnswer
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.rows import OWN_ID, Message, Record
from asd_agent.outbox.store import Outbox

log = logging.getLogger(__name__)

VERBS = ("acknowledge", "shelve", "unshelve")
MAX_BYTES = 4096
MAX_WAITING = 100
"""Commands that may wait for the supervisor; more are dropped and said."""
LONGEST_EXPIRY_SECONDS = 3600.0
"""An expiry further ahead is refused: by then the log of seen ids may have forgotten it."""
SEEN_IN_MEMORY = 1000


@dataclass(frozen=True)
class Order:
    """A command that may be carried out.

    Attributes:
        command: As it was sent.
        verb: What to do.
        received: As it came.
    """

    command: Command
    verb: str
    received: Received

    @property
    def args(self) -> dict[str, Any]:
        """What `asd_agent.alarm.command` wants to know."""
        said = self.command
        args: dict[str, Any] = {"one_shot": said.one_shot}
        if said.alarm_id is not None:
            args["alarm_id"] = said.alarm_id
        if said.minutes is not None:
            args["minutes"] = said.minutes
        return args


@dataclass(frozen=True)
class _Refusal:
    text: str
    command: Command | None = None
    done: bool = False


class CommandReceiver:
    """Reads commands from its inbox and returns those that may be carried out.

    Args:
        topics: Of this agent.
        allowed: Verbs that may be asked for; with none, nothing is subscribed to.
        monitors: Whose alarms there are.
        outbox: Where answers and the log go.
        clock: The clocks.
    """

    def __init__(
        self, topics: Topics, allowed: Collection[str], monitors: Collection[str], outbox: Outbox, clock: Clock
    ) -> None:
        self._topics, self._allowed, self._monitors = topics, frozenset(allowed), frozenset(monitors)
        self._outbox, self._clock = outbox, clock
        self.inbox = Inbox(MAX_WAITING)
        self._seen: OrderedDict[str, CommandResult] = OrderedDict()

    def attach(self, publisher: Publisher) -> None:
        """Listen, if anything is allowed."""
        if self._allowed:
            for verb in VERBS:
                publisher.subscribe(self._topics.command(verb), self.inbox)

    def follow(self, publisher: Publisher, allowed: Collection[str], monitors: Collection[str]) -> None:
        """Go by another configuration, on the supervisor's turn."""
        self._allowed, self._monitors = frozenset(allowed), frozenset(monitors)
        self.attach(publisher)
        if not self._allowed:
            for verb in VERBS:
                publisher.unsubscribe(self._topics.command(verb))

    def take(self) -> list[Order]:
        """What is to be carried out now, each to be followed by `answer`; what is refused has been answered."""
        waiting, dropped = self.inbox.take()
        if dropped:
            log.warning("%d commands were dropped unread: more than %d at once", dropped, MAX_WAITING)
        orders: list[Order] = []
        for received in waiting:
            verb = received.topic.rpartition("/")[2]
            judged = self._judge(received, verb)
            if isinstance(judged, Order) and any(o.command.id == judged.command.id for o in orders):
                judged = _Refusal("seen before, a moment ago", judged.command)
            if isinstance(judged, Order):
                orders.append(judged)
            else:
                self._refuse(judged, verb, received)
        return orders

    def answer(self, order: Order, result: CommandResult) -> tuple[Message, Record]:
        """The answer and the log's entry, to be committed with the state that the command changed."""
        said, verb = order.command, order.verb
        log.info("command %s of %r on %s: %s", verb, said.by, said.monitor, result.text)
        self._remember(said.id, result)
        record = Record(said.id, f"{verb} {printable(order.received.payload)}", result.done, result.text)
        return self._message(said, verb, result), record

    def _judge(self, received: Received, verb: str) -> Order | _Refusal:
        if received.retained:
            return _Refusal("retained commands are ignored; send it without retain")
        if len(received.payload) > MAX_BYTES:
            return _Refusal(f"more than {MAX_BYTES} bytes")
        if verb not in self._allowed:
            return _Refusal(f"{verb!r} is not allowed here; agent.yaml allows {', '.join(sorted(self._allowed))}")
        try:
            command = Command.model_validate_json(received.payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part)[:64] for part in first["loc"])
            return _Refusal(f"not understood: {where + ': ' if where else ''}{first['msg']}")
        seen = self._seen_before(command.id)
        if seen is not None:
            return _Refusal(f"seen before: {seen.text}", command, seen.done)
        complaint = self._untimely(command.expires)
        if complaint:
            return _Refusal(complaint, command)
        if command.monitor not in self._monitors:
            return _Refusal(f"there is no monitor {command.monitor!r}", command)
        return Order(command, verb, received)

    def _untimely(self, expires: str) -> str | None:
        try:
            moment = datetime.fromisoformat(expires.removesuffix("Z") + ("+00:00" if expires.endswith("Z") else ""))
            left = moment.timestamp() - self._clock.utc() if moment.tzinfo is not None else None
        except (ValueError, OverflowError):
            left = None
        if left is None:
            return f"expires {expires!r} is no UTC time such as 2027-01-15T08:00:00.000Z"
        if 0 < left <= LONGEST_EXPIRY_SECONDS:
            return None
        doubt = "" if self._clock.synchronised() else ", a clock that no time server is known to keep"
        here = f"by this agent's clock it is {iso_utc(self._clock.utc())}{doubt}"
        return f"{'expired' if left <= 0 else 'expires more than an hour ahead'}: {here}"

    def _refuse(self, refusal: _Refusal, verb: str, received: Received) -> None:
        log.warning("command %s refused: %s", verb, refusal.text)
        # Logged under an id of its own: a refused command may be mended and sent again under the id it had.
        record = Record(new_record_id(), f"{verb} {printable(received.payload)}", False, refusal.text)
        answer = self._message(refusal.command, verb, CommandResult(refusal.done, refusal.text))
        self._outbox.append([answer], record)

    def _seen_before(self, id_: str) -> CommandResult | None:
        if id_ in self._seen:
            return self._seen[id_]
        found = self._outbox.recorded(id_)
        return CommandResult(found.done, found.text) if found else None

    def _remember(self, id_: str, result: CommandResult) -> None:
        self._seen[id_] = result
        while len(self._seen) > SEEN_IN_MEMORY:
            self._seen.popitem(last=False)

    def _message(self, command: Command | None, verb: str, result: CommandResult) -> Message:
        answer = CommandAnswer(
            id=command.id if command else None,
            verb=verb[:64],
            monitor=command.monitor if command else None,
            done=result.done,
            text=result.text,
            by=command.by if command else "",
            time=iso_utc(self._clock.utc()),
        )
        return Message(new_record_id(), self._topics.command_result, answer.to_json())


def new_record_id() -> str:
    """An id that no sender may choose."""
    return f"{OWN_ID}{uuid.uuid4().hex}"


def printable(payload: bytes) -> str:
    """A payload as the log keeps it: short, and nothing that a terminal would obey."""
    text = payload[:500].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in text)
