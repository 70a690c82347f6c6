"""HTTP connections with bounds: how many there may be, and how long a request's head may take."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Time within which the head of a request must have arrived, from the connection or from the request before."""
MOST_CONNECTIONS = 256
MOST_OF_AN_ADDRESS = 32
"""A browser opens six; several people behind one proxy come from one address, which `trusted_proxies` exempts."""


class BoundedConnection(H11Protocol):
    """Connection that is closed when its request does not arrive, or when there are too many.

    `exempt` holds networks whose connections are only bounded together.
    """

    exempt: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        clients = [getattr(c, "client", None) for c in self.connections]
        same = sum(client is not None and client[0] == address for client in clients)
        if len(self.connections) > MOST_CONNECTIONS or (same > MOST_OF_AN_ADDRESS and not self._is_exempt(address)):
            transport.abort()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the head of each request has its time."""
        super().data_received(data)
        self._expect_head()

    def on_response_complete(self) -> None:
        """Finish an answer and wait for the next request."""
        super().on_response_complete()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._cancel()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._cancel()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.abort()

    def _cancel(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _is_exempt(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.exempt)
