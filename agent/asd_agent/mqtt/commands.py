"""Receipt of commands over MQTT: each is checked, answered and logged, and none is applied twice.

A command is JSON on `command/<verb>` (docs/schemas/command.json) with an id and an expiry. The configuration names the
allowed verbs. A command that is retained, known, expired, too large or not understood changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from asd_agent.alarm import CommandResult
from asd_agent.clock import Clock, iso_utc, seconds_of
from asd_agent.mqtt.connection import Received
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.payloads import Command, CommandAnswer
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.schema import OWN_ID, CommandRecord, Message
from asd_agent.outbox.store import Outbox

log = logging.getLogger(__name__)

VERBS = ("acknowledge", "shelve", "unshelve", "verdict")
MAX_BYTES = 4096
"""A valid command has some hundred bytes."""
MAX_WAITING = 100
"""Commands that may wait for the service's next cycle; more are dropped, counted and logged."""
LONGEST_EXPIRY_SECONDS = 3600.0
"""An expiry further ahead is refused: the log may have dropped the id by then, and a second copy would be applied."""
MOST_REFUSALS = 3000
"""Refusals a minute that are answered and logged; what sends more than fifty a second reads no answers."""
SEEN_IN_MEMORY = 1000
"""Ids kept in memory beside the log, for a disk that refuses."""


@dataclass(frozen=True)
class ReceivedCommand:
    """A command that may be applied.

    Attributes:
        command: Its payload.
        verb: The action, from its topic.
        received: The MQTT message.
    """

    command: Command
    verb: str
    received: Received

    @property
    def args(self) -> dict[str, Any]:
        """Arguments for `asd_agent.alarm.command`."""
        command = self.command
        given = {name: getattr(command, name) for name in ("alarm_id", "minutes", "note", "verdict", "label")}
        present = {name: value for name, value in given.items() if value is not None}
        return {"one_shot": command.one_shot, "by": command.by, **present}


@dataclass(frozen=True)
class _Refusal:
    text: str
    command: Command | None = None
    done: bool = False


class CommandReceiver:
    """Checks the commands in its inbox, answers those it refuses, and returns the others.

    Args:
        topics: Topics of this agent.
        allowed: Allowed verbs; with none, nothing is subscribed to.
        monitors: Names of the monitors.
        outbox: Store of answers and of the command log.
        clock: The clocks.
    """

    def __init__(
        self, topics: Topics, allowed: Collection[str], monitors: Collection[str], outbox: Outbox, clock: Clock
    ) -> None:
        self._topics, self._allowed, self._monitors = topics, frozenset(allowed), frozenset(monitors)
        self._outbox, self._clock = outbox, clock
        self.inbox = Inbox(MAX_WAITING)
        self._seen: OrderedDict[str, CommandResult] = OrderedDict()
        self._refusals: list[float] = []

    def attach(self, publisher: Publisher) -> None:
        """Subscribe to the topics of commands, if any verb is allowed."""
        if self._allowed:
            for verb in VERBS:
                publisher.subscribe(self._topics.command(verb), self.inbox)

    def follow(self, publisher: Publisher, allowed: Collection[str], monitors: Collection[str]) -> None:
        """Follow another configuration."""
        self._allowed, self._monitors = frozenset(allowed), frozenset(monitors)
        self.attach(publisher)
        if not self._allowed:
            for verb in VERBS:
                publisher.unsubscribe(self._topics.command(verb))

    def take(self) -> list[ReceivedCommand]:
        """Return the commands to apply now; the caller answers each with `answer`."""
        waiting, dropped = self.inbox.take()
        if dropped:
            log.warning("%d commands were dropped unread: more than %d arrived at once", dropped, MAX_WAITING)
        accepted: list[ReceivedCommand] = []
        refused: list[tuple[Message, CommandRecord]] = []
        for received in waiting:
            verb = received.topic.rpartition("/")[2]
            judged = self._judge(received, verb)
            if isinstance(judged, ReceivedCommand) and any(a.command.id == judged.command.id for a in accepted):
                judged = _Refusal("seen before, a moment ago", judged.command)
            if isinstance(judged, ReceivedCommand):
                accepted.append(judged)
            else:
                refused += self._refuse(judged, verb, received)
        if refused:
            # One commit for all of a cycle: junk on a command topic must not keep the disk busy.
            self._outbox.append([answer for answer, _ in refused], [record for _, record in refused])
        return accepted

    def answer(self, accepted: ReceivedCommand, result: CommandResult) -> tuple[Message, CommandRecord]:
        """Return the answer and the log's entry, to be stored with the state that the command changed."""
        command, verb = accepted.command, accepted.verb
        log.info("command %s of %r on monitor %s: %s", verb, command.by, command.monitor, result.text)
        self._remember(command.id, result)
        request = f"{verb} {printable(accepted.received.payload)}"
        return self._message(command, verb, result), CommandRecord(command.id, request, result.done, result.text)

    def _judge(self, received: Received, verb: str) -> ReceivedCommand | _Refusal:
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
        complaint = untimely(command.expires, self._clock)
        if complaint:
            return _Refusal(complaint, command)
        if command.monitor not in self._monitors:
            return _Refusal(f"there is no monitor {command.monitor!r}", command)
        return ReceivedCommand(command, verb, received)

    def _refuse(self, refusal: _Refusal, verb: str, received: Received) -> list[tuple[Message, CommandRecord]]:
        """Log a refusal and return its answer and entry, to be stored; nothing beyond `MOST_REFUSALS` a minute."""
        log.warning("command %s refused: %s", verb, refusal.text)
        now = self._clock.monotonic()
        self._refusals = [at for at in self._refusals if now - at < 60.0]
        if len(self._refusals) >= MOST_REFUSALS:
            return []
        self._refusals.append(now)
        # Logged under an id of its own: a refused command may be corrected and sent again under the id that it had.
        record = CommandRecord(new_record_id(), f"{verb} {printable(received.payload)}", False, refusal.text)
        answer = self._message(refusal.command, verb, CommandResult(refusal.done, refusal.text))
        return [(answer, record)]

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


def untimely(expires: str, clock: Clock) -> str | None:
    """Return why a command that expires at this time is not carried out now; None where it may be."""
    try:
        left = seconds_of(expires) - clock.utc()
    except (ValueError, OverflowError):
        return f"expires {expires!r} is no UTC time such as 2027-01-15T08:00:00.000Z"
    if 0 < left <= LONGEST_EXPIRY_SECONDS:
        return None
    doubt = "" if clock.synchronised() else ", a clock that no time server is known to keep"
    here = f"by this agent's clock it is {iso_utc(clock.utc())}{doubt}"
    return f"{'expired' if left <= 0 else 'expires more than an hour ahead'}: {here}"


def new_record_id() -> str:
    """Return a new id for the command log, which no sender can choose."""
    return f"{OWN_ID}{uuid.uuid4().hex}"


def printable(payload: bytes) -> str:
    """Return a payload as the log keeps it: short, and without characters that control a terminal."""
    text = payload[:500].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in text)
