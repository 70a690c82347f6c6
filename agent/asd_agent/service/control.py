"""Requests from this box: a Unix socket of mode 0600, one JSON line each way."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socketserver
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asd_agent.control_client import MAX_BYTES, reply_seconds

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""Time between attempts to open a socket that the disk refused."""

MAX_WAITING = 32
"""Requests that may wait for a cycle; a person or a script sends a few a minute."""


@dataclass
class Request:
    """A request of a command on this box.

    Attributes:
        document: The JSON object that was sent.
    """

    document: dict[str, Any]
    _answer: queue.Queue[dict[str, Any]] = field(default_factory=lambda: queue.Queue(1))

    def reply(self, document: dict[str, Any]) -> None:
        """Answer the request; a second answer is ignored."""
        with contextlib.suppress(queue.Full):
            self._answer.put_nowait(document)

    def wait(self) -> dict[str, Any]:
        """Return the answer, or an error where there is none in time."""
        try:
            return self._answer.get(timeout=reply_seconds(self.document))
        except queue.Empty:
            return {"error": "the service did not answer in time"}


class ControlServer:
    """Receives requests on threads of its own; the service takes and answers them in its cycle.

    Args:
        path: The socket.
        wake: Set when a request waits.
    """

    def __init__(self, path: Path, wake: threading.Event) -> None:
        self._path, self._wake = path, wake
        self._requests: queue.Queue[Request] = queue.Queue(MAX_WAITING)
        self._server: _ControlSocket | None = None
        self._thread: threading.Thread | None = None
        self._tried = time.monotonic()

    def start(self) -> None:
        """Begin to listen; where that is impossible, log why and run without the socket."""
        try:
            self._path.unlink(missing_ok=True)
            self._server = _ControlSocket(str(self._path), self)
        except OSError as error:
            log.warning(
                "control socket %s cannot be opened (%s); commands on this box do not reach it. Check paths.state",
                self._path,
                error,
            )
            return
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="control", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Return whether the socket is served; one that could not be opened is no failure of the thread."""
        return self._thread is None or self._thread.is_alive()

    def cycle(self, now: float) -> None:
        """Try again, once a minute, to open a socket that the disk refused."""
        if self._server is None and now - self._tried >= RETRY_SECONDS:
            self._tried = now
            self.start()

    def stop(self) -> None:
        """Close the socket."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._path.unlink(missing_ok=True)
            self._server = None

    def take(self) -> list[Request]:
        """Return the requests that wait; the caller answers each with `reply`."""
        taken: list[Request] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._requests.get_nowait())
        return taken

    def receive(self, line: bytes) -> dict[str, Any]:
        """Queue one request and return its answer; called on the thread of its connection."""
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            return {"error": "not a JSON object"}
        request = Request(document)
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            return {"error": "too many requests wait"}
        self._wake.set()
        return request.wait()


class _ControlSocket(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = MAX_WAITING  # a full backlog refuses at once
    block_on_close = False

    def __init__(self, path: str, control: ControlServer) -> None:
        self.control = control
        super().__init__(path, _ControlConnection)

    def server_bind(self) -> None:
        # Before it is bound, so that the socket never exists with another mode.
        os.fchmod(self.socket.fileno(), 0o600)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        log.debug("control socket: a command closed its connection before the answer")


class _ControlConnection(socketserver.StreamRequestHandler):
    timeout = 5.0
    server: _ControlSocket

    def handle(self) -> None:
        line = self.rfile.readline(MAX_BYTES + 1)
        answer = (
            self.server.control.receive(line) if len(line) <= MAX_BYTES else {"error": f"more than {MAX_BYTES} bytes"}
        )
        self.wfile.write(json.dumps(answer).encode() + b"\n")
