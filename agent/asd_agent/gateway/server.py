"""Socket of the gateway: one JSON line as a request; a JSON line and perhaps bytes as the answer."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import socketserver
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from asd_agent.control_client import MAX_BYTES
from asd_agent.errors import AsdError

log = logging.getLogger(__name__)

CONNECTIONS = 64
"""Connections at a time: one process, the page, opens them, about one for each page that is being read."""
REQUEST_SECONDS = 5.0
"""Time within which a request must have arrived whole."""
SEND_SECONDS = 10.0
"""Time that a reader may keep one piece of an answer waiting."""
_PIECE = 65_536


@dataclass(frozen=True)
class GatewayAnswer:
    """Answer to a request.

    Attributes:
        document: JSON object.
        body: Bytes behind it, such as a clip.
    """

    document: dict[str, Any]
    body: bytes = b""


class RequestHandler(Protocol):
    """Part that answers the requests."""

    def answer(self, document: dict[str, Any]) -> GatewayAnswer | Generator[dict[str, Any], None, None]:
        """Answer one request: once, or with a stream of documents.

        Raises:
            AsdError: It is refused.
            ValueError: A field of it is wrong.
        """


class GatewayServer:
    """Serves one socket on threads of its own.

    Args:
        path: The socket; its mode is 0660.
        handler: Answers the requests.
    """

    def __init__(self, path: Path, handler: RequestHandler) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._server = _WebSocketServer(str(path), handler)
        # The umask takes the group's rights while the socket is bound; they are given only afterwards.
        path.chmod(0o660)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="gateway", daemon=True)

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def use(self, handler: RequestHandler) -> None:
        """Give requests from now on to another part; those that are under way stay with theirs."""
        self._server.handler = handler

    def stop(self) -> None:
        """Close the socket; answers that are under way are cut off."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class _WebSocketServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = CONNECTIONS
    block_on_close = False

    def __init__(self, path: str, handler: RequestHandler) -> None:
        self.handler = handler
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(path, _WebConnection)

    def server_bind(self) -> None:
        os.fchmod(self.socket.fileno(), 0o660)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.places.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(0.5)
                request.sendall(b'{"error": "too many requests at a time; try again"}\n')
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        log.debug("the page closed its connection before the answer")


class _WebConnection(socketserver.BaseRequestHandler):
    server: _WebSocketServer
    request: socket.socket

    def handle(self) -> None:
        line = _read_line(self.request)
        if line is None:
            return
        try:
            document = json.loads(line) if len(line) <= MAX_BYTES else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            self._send({"error": f"a request is one JSON object of at most {MAX_BYTES} bytes"})
            return
        try:
            answer = self.server.handler.answer(document)
            if isinstance(answer, GatewayAnswer):
                self._send({**answer.document, "bytes": len(answer.body)}, answer.body)
                return
            # A stream gives its place back when its reader has gone, not when it is collected.
            with contextlib.closing(answer) as stream:
                for update in stream:
                    self._send(update)
        except (AsdError, ValueError) as error:
            self._send({"error": str(error)[:1000]})
        except OSError:
            raise
        except Exception as error:
            log.exception("a request of the page failed: %s", str(document.get("verb"))[:40])
            self._send({"error": f"the request failed ({type(error).__name__}); see the log of asd-agent"})

    def _send(self, document: dict[str, Any], body: bytes = b"") -> None:
        self.request.settimeout(SEND_SECONDS)
        self.request.sendall(json.dumps(document, allow_nan=False).encode() + b"\n")
        for start in range(0, len(body), _PIECE):
            self.request.sendall(body[start : start + _PIECE])


def _read_line(connection: socket.socket) -> bytes | None:
    """Return a line of at most `MAX_BYTES` + 1 bytes; None where it does not arrive in time."""
    until, line = time.monotonic() + REQUEST_SECONDS, b""
    while b"\n" not in line and len(line) <= MAX_BYTES:
        left = until - time.monotonic()
        if left <= 0:
            return None
        connection.settimeout(left)
        try:
            piece = connection.recv(_PIECE)
        except TimeoutError:
            return None
        if not piece:
            break
        line += piece
    return line
