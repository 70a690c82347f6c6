"""Operator actions, from MQTT and from this box, applied to the monitors' alarms."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.alarm import CommandResult
from asd_agent.clock import Clock, ClockReading
from asd_agent.monitor import Monitor, MonitorEvents
from asd_agent.mqtt.commands import CommandReceiver, new_record_id, printable
from asd_agent.outbox.schema import CommandRecord
from asd_agent.service.control import Request
from asd_agent.service.reporter import Reporter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalCommand:
    """An operator action from this box, through the control socket; its sender is whoever may open that.

    Attributes:
        monitor: Name of the monitor.
        verb: Any of `asd_agent.alarm.VERBS`.
        args: Arguments of the action; see `asd_agent.alarm.command`.
        by: The user.
    """

    monitor: str
    verb: str
    args: dict[str, Any]
    by: str

    @classmethod
    def read(cls, document: dict[str, Any], monitors: Collection[str]) -> LocalCommand:
        """Return the action that `asd-agent alerts` asks for.

        Raises:
            ValueError: A field is missing or of a wrong type, or there is no such monitor.
        """
        monitor, verb, args, by = (document.get(key) for key in ("monitor", "verb", "args", "by"))
        if not (isinstance(monitor, str) and isinstance(verb, str) and isinstance(by or "", str)):
            raise ValueError("'monitor', 'verb' and 'by' of a command on an alarm are text")  # noqa: TRY004 - one kind of error
        if not isinstance(args, dict) or any(isinstance(value, dict | list) for value in args.values()):
            raise ValueError("'args' of a command on an alarm is an object of plain values")
        if monitor not in monitors:
            raise ValueError(f"there is no monitor {monitor!r}; there are {', '.join(sorted(monitors))}")
        return cls(monitor, verb, args, by or "")

    def record(self, result: CommandResult) -> CommandRecord:
        """Return the log's entry, to be stored with the state that the action changed."""
        request = f"{self.verb} {self.monitor} {self.args} by {self.by} on this box"
        return CommandRecord(new_record_id(), printable(request.encode()), result.done, result.text)


class CommandHandler:
    """Applies operator actions, each stored with its answer and its entry in the log.

    Args:
        receiver: Commands from MQTT.
        reporter: Stores and publishes the changed states.
        clock: The clocks.
    """

    def __init__(self, receiver: CommandReceiver, reporter: Reporter, clock: Clock) -> None:
        self._receiver, self._reporter, self._clock = receiver, reporter, clock

    def apply_received(self, monitors: Mapping[str, Monitor]) -> Iterator[MonitorEvents]:
        """Apply every command that has arrived over MQTT, and yield the events of each."""
        for accepted in self._receiver.take():
            monitor = monitors[accepted.command.monitor]
            events, result = monitor.apply_action(accepted.verb, accepted.args, ClockReading.read(self._clock))
            answer, record = self._receiver.answer(accepted, result)
            self._reporter.store(monitor, events, [answer], record)
            self._reporter.publish_state(monitor)
            yield monitor, events

    def apply_request(self, request: Request, monitors: Mapping[str, Monitor]) -> Iterator[MonitorEvents]:
        """Apply an action from this box, answer its request, and yield its events."""
        try:
            local = LocalCommand.read(request.document, monitors)
        except ValueError as error:
            request.reply({"error": str(error)})
            return
        monitor = monitors[local.monitor]
        events, result = monitor.apply_action(
            local.verb, {**local.args, "by": local.by}, ClockReading.read(self._clock)
        )
        log.info("command %s of %r on monitor %s: %s", local.verb, local.by, local.monitor, result.text)
        self._reporter.store(monitor, events, record=local.record(result))
        self._reporter.publish_state(monitor)
        request.reply({"done": result.done, "text": result.text})
        yield monitor, events
