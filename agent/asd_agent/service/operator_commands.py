"""Commands on alarms, over MQTT where allowed and from this box, carried out on the supervisor's turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from asd_agent.alarm import CommandResult, Event, command
from asd_agent.audio.source import CaptureSource
from asd_agent.audio.window_source import answer_sound
from asd_agent.clock import Clock, ClockReading
from asd_agent.config.model import Config
from asd_agent.control_client import SOCKET_NAME
from asd_agent.monitor import Monitor
from asd_agent.mqtt.commands import CommandReceiver, LocalOrder
from asd_agent.mqtt.payloads import Health
from asd_agent.mqtt.publisher import Publisher
from asd_agent.outbox.store import Outbox
from asd_agent.service.control import ControlServer, Request
from asd_agent.service.reporter import Reporter


class CommandHandler:
    """Takes commands and carries them out, each with its answer and its entry in the log.

    Args:
        config: Which verbs may come over MQTT, and where the socket lies.
        outbox: Of the log.
        publisher: Where MQTT commands come in; not started yet.
        teller: Stores and says what a command changed.
        clock: The clocks.
        notify: Called, from any thread, when something waits.
        reload: Takes requests to read the configuration again, and answers them when that is done.
        report: Says how the agent fares.
        sources: By name, as they are now.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        publisher: Publisher,
        teller: Reporter,
        clock: Clock,
        notify: Callable[[], None],
        reload: Callable[[Request], None],
        report: Callable[[], Health],
        sources: Callable[[], Mapping[str, CaptureSource]],
    ) -> None:
        self._teller, self._clock, self._publisher, self._reload = teller, clock, publisher, reload
        self._report, self._sources = report, sources
        self._desk = CommandReceiver(teller.topics, config.commands, config.monitors, outbox, clock)
        self._desk.attach(publisher)
        self._control = ControlServer(config.paths.state / SOCKET_NAME, notify)

    def start(self) -> None:
        """Open the socket."""
        self._control.start()

    def follow(self, config: Config) -> None:
        """Go by another configuration."""
        self._desk.follow(self._publisher, config.commands, config.monitors)

    def stop(self) -> None:
        """Close it."""
        self._control.stop()

    def carry_out(self, monitors: Mapping[str, Monitor], said: Callable[[Monitor, Event], None]) -> None:
        """Carry out everything that waits.

        Args:
            monitors: By name.
            said: Told of each event that a command caused.
        """
        for order in self._desk.take():
            monitor = monitors[order.command.monitor]
            events, result = self._obey(monitor, order.verb, order.args)
            answer, record = self._desk.answer(order, result)
            self._teller.change(monitor, events, [answer], record)
            self._finish(monitor, events, said)
        for request in self._control.take():
            if request.document.get("command") == "reload":
                self._reload(request)
            elif request.document.get("command") == "sound":
                self._sound(request)
            elif request.document.get("command") == "health":
                request.reply({"health": self._report().model_dump(mode="json", by_alias=True)})
            else:
                self._local(request, monitors, said)

    def _sound(self, request: Request) -> None:
        try:
            source = self._sources().get(str(request.document.get("source")))
            request.reply(answer_sound(source, request.document))
        except ValueError as error:
            request.reply({"error": str(error)})

    def _local(self, request: Request, monitors: Mapping[str, Monitor], said: Callable[[Monitor, Event], None]) -> None:
        try:
            if request.document.get("command") != "alarm":
                request.reply({"error": "unknown command"})
                return
            order = LocalOrder.read(request.document, monitors)
            monitor = monitors[order.monitor]
            events, result = self._obey(monitor, order.verb, order.args)
        except ValueError as error:
            request.reply({"error": str(error)})
            return
        self._teller.change(monitor, events, record=order.record(result))
        self._finish(monitor, events, said)
        request.reply({"done": result.done, "text": result.text})

    def _obey(self, monitor: Monitor, verb: str, args: dict[str, object]) -> tuple[tuple[Event, ...], CommandResult]:
        now = ClockReading.read(self._clock)
        monitor.state, events, result = command(monitor.state, verb, args, monitor.settings.alarm, now)
        return events, result

    def _finish(self, monitor: Monitor, events: tuple[Event, ...], said: Callable[[Monitor, Event], None]) -> None:
        self._teller.state(monitor)
        for event in events:
            said(monitor, event)
