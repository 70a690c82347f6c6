"""A broker inside the process (amqtt, MQTT 3.1.1), for a demo on a box where none is installed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any

from asd_agent.errors import AsdError

if TYPE_CHECKING:
    from typing_extensions import Self

HOST = "127.0.0.1"
_SECONDS = 20.0


class DemoBroker:
    """A broker on free loopback ports, which can be stopped and started again on them.

    amqtt forgets its sessions when it stops. So the agent has a door of its own, which is opened once the subscriber
    is back: nothing is published into the void, as with a broker that keeps its sessions.

    Raises:
        AsdError: amqtt is not installed.
    """

    def __init__(self) -> None:
        try:
            from amqtt.broker import Broker
        except ImportError as error:
            raise AsdError(
                "the demo's broker is not installed", "Install it: `pip install 'asd[cpu,demo]'`."
            ) from error
        # Clients that vanish with the broker, as they do here on purpose, are not worth a line each.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._make = Broker
        self.agent_port, self.subscriber_port = _free_port(), _free_port()
        self._broker: Any = None
        self._door: asyncio.Server | None = None
        self._inside: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-broker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)

    @property
    def running(self) -> bool:
        """Whether subscribers can connect."""
        return self._broker is not None

    def start(self) -> None:
        """Listen for subscribers."""
        if self._broker is None:
            self._broker = self._await(self._start())

    def admit_agent(self) -> None:
        """Let the agent connect as well."""
        if self._door is None and self.running:
            self._door = self._await(asyncio.start_server(self._forward, HOST, self.agent_port))

    def stop(self) -> None:
        """Close every connection and listen no more."""
        if self._broker is not None:
            broker, self._broker = self._broker, None
            self._await(self._stop(broker))

    async def _start(self) -> Any:
        broker = self._make(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.subscriber_port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        return broker

    async def _stop(self, broker: Any) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
        for writer in self._inside:
            writer.close()
        await broker.shutdown()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(HOST, self.subscriber_port)
        except OSError:
            writer.close()
            return
        self._inside |= {writer, inner_writer}
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        self._inside -= {writer, inner_writer}

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
