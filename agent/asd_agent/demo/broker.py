"""Broker inside the process (amqtt, MQTT 3.1.1), for a demo on a box where none is installed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
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
"""Bound of every step; a start takes a second on a slow box."""


class DemoBroker:
    """Broker on free loopback ports, which can be stopped and started again on them.

    amqtt forgets its sessions when it stops. So the agent has a port of its own, which is opened once the subscriber
    is back: nothing is published without a receiver, as with a broker that keeps its sessions.

    Raises:
        AsdError: amqtt is not installed.
    """

    def __init__(self) -> None:
        try:
            from amqtt.broker import Broker
        except ImportError as error:
            raise AsdError(
                "the demo's broker is not installed", "`make demo` in the source installs all that the demo needs."
            ) from error
        # Clients lose their connection with the broker here on purpose: no log line for each.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._make = Broker
        self.agent_port, self.subscriber_port = free_port(), free_port()
        self._broker: Any = None
        self._agent_server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
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
        """True while subscribers can connect."""
        return self._broker is not None

    def start(self) -> None:
        """Let subscribers connect."""
        if self._broker is None:
            self._broker = self._await(self._start())

    def admit_agent(self) -> None:
        """Let the agent connect as well."""
        if self._agent_server is None and self.running:
            self._agent_server = self._await(asyncio.start_server(self._forward, HOST, self.agent_port))

    def stop(self) -> None:
        """Close every connection and the ports."""
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
        if self._agent_server is not None:
            self._agent_server.close()
            self._agent_server = None
        for writer in self._writers:
            writer.close()
        await broker.shutdown()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(HOST, self.subscriber_port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, inner_writer}
        await asyncio.gather(_copy_stream(reader, inner_writer), _copy_stream(inner_reader, writer))
        self._writers -= {writer, inner_writer}

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)


async def _copy_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def free_port() -> int:
    """TCP port that nothing listens on, below the range from which Linux takes the ports of clients.

    A client that calls a closed port of that range may be given this very port as its own: it then connects to itself,
    and reads what it sent.

    Raises:
        OSError: None of a hundred was free.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
    raise OSError("no port is free between 20000 and 32000")
