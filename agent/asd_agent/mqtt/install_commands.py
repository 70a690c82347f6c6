"""Receipt of the command `install_bundle` over MQTT: checked, answered in stages, logged, never applied twice."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from asd_agent.alarm import CommandResult
from asd_agent.bundle.download import check_url
from asd_agent.clock import Clock, iso_utc
from asd_agent.config.install import InstallSettings
from asd_agent.errors import BundleError
from asd_agent.mqtt.commands import MAX_BYTES, new_record_id, printable, untimely
from asd_agent.mqtt.connection import Received
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.payloads import CommandAnswer, InstallBundle, InstallStage
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.schema import CommandRecord, Message
from asd_agent.outbox.store import Outbox

log = logging.getLogger(__name__)

VERB = "install_bundle"
MAX_WAITING = 10
"""Commands that may wait for a cycle; a roll-out sends one at a time."""


class InstallReceiver:
    """Checks the commands in its inbox and returns those to carry out.

    Args:
        topics: Topics of this agent.
        settings: Limits; None where the command is off, and nothing is subscribed to.
        outbox: Store of answers and of the command log.
        clock: The clocks.
    """

    def __init__(self, topics: Topics, settings: InstallSettings | None, outbox: Outbox, clock: Clock) -> None:
        self._topics, self._settings, self._outbox, self._clock = topics, settings, outbox, clock
        self._inbox = Inbox(MAX_WAITING)

    def attach(self, publisher: Publisher) -> None:
        """Subscribe, where the command is allowed."""
        if self._settings is not None:
            publisher.subscribe(self._topics.command(VERB), self._inbox)

    def take(self) -> list[InstallBundle]:
        """Return the commands to carry out; others are answered with their refusal."""
        waiting, _dropped = self._inbox.take()
        accepted = []
        for received in waiting:
            command, refusal = self._judge(received)
            if command is not None and refusal is None:
                accepted.append(command)
                record = CommandRecord(command.id, f"{VERB} {printable(received.payload)}", True, "accepted")
                self._outbox.append([self._message(command, "accepted", "accepted")], [record])
            elif refusal is not None:
                log.warning("command %s refused: %s", VERB, refusal)
                record = CommandRecord(new_record_id(), f"{VERB} {printable(received.payload)}", False, refusal)
                self._outbox.append([self._message(command, "refused", refusal)], [record])
        return accepted

    def answer(self, command: InstallBundle, stage: InstallStage, text: str) -> None:
        """Publish the result of a stage, and log it."""
        level = logging.WARNING if stage in {"refused", "returned"} else logging.INFO
        log.log(level, "command %s of %r: %s: %s", VERB, command.by, stage, text)
        record = CommandRecord(new_record_id(), f"{VERB} {command.id} {stage}", stage == "proved", text)
        self._outbox.append([self._message(command, stage, text)], [record])

    def _judge(self, received: Received) -> tuple[InstallBundle | None, str | None]:
        if received.retained:
            return None, "retained commands are ignored; send it without retain"
        if len(received.payload) > MAX_BYTES:
            return None, f"more than {MAX_BYTES} bytes"
        try:
            command = InstallBundle.model_validate_json(received.payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return None, f"not understood: {'.'.join(str(part)[:64] for part in first['loc'])}: {first['msg']}"
        if self._outbox.recorded(command.id) is not None:
            return command, "seen before"
        if complaint := untimely(command.expires, self._clock):
            return command, complaint
        assert self._settings is not None
        try:
            check_url(command.url, self._settings.url_prefixes)
        except BundleError as error:
            return command, str(error)
        return command, None

    def _message(self, command: InstallBundle | None, stage: InstallStage, text: str) -> Message:
        result = CommandResult(stage == "proved", text)
        answer = CommandAnswer(
            id=command.id if command else None,
            verb=VERB,
            monitor=None,
            done=result.done,
            text=result.text,
            by=command.by if command else "",
            time=iso_utc(self._clock.utc()),
            stage=stage,
        )
        return Message(new_record_id(), self._topics.command_result, answer.to_json())
