"""How commands on the box reach the running service: a Unix socket of mode 0600, one JSON line each way."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError

log = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
"""Below `paths.state`."""
MAX_BYTES = 65_536
REPLY_SECONDS = 10.0
"""How long a request waits for the service's next turn."""
LONG_SECONDS = {"reload": 900.0}
"""How long a request waits whose command takes more than a turn: it is answered when all of it is done."""
MAX_WAITING = 32


class ControlError(AsdError):
    """The service cannot be reached, or refused."""


class ControlRefusedError(ControlError):
    """The service answered, and refused."""


@dataclass
class Request:
    """What a command on the box asks of the service.

    Attributes:
        document: The JSON object that it sent.
    """

    document: dict[str, Any]
    _answer: queue.Queue[dict[str, Any]] = field(default_factory=lambda: queue.Queue(1))

    def reply(self, document: dict[str, Any]) -> None:
        """Answer it; a second answer is passed over."""
        with contextlib.suppress(queue.Full):
            self._answer.put_nowait(document)

    def wait(self) -> dict[str, Any]:
        """The answer, or that there was none in time."""
        try:
            return self._answer.get(timeout=_seconds(self.document))
        except queue.Empty:
            return {"error": "the service did not answer in time"}


class ControlServer:
    """Hears requests on threads of its own and hands them out on the supervisor's.

    Args:
        path: Of the socket.
        notify: Called when a request waits.
    """

    def __init__(self, path: Path, notify: Callable[[], None]) -> None:
        self._path, self._notify = path, notify
        self._requests: queue.Queue[Request] = queue.Queue(MAX_WAITING)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; where that cannot be, the service goes on without and says so."""
        try:
            self._path.unlink(missing_ok=True)
            self._server = _Server(str(self._path), self._hear)
        except OSError as error:
            log.warning("%s cannot be opened (%s); commands on this box will not reach the service", self._path, error)
            return
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._path.unlink(missing_ok=True)
            self._server = None

    def take(self) -> list[Request]:
        """The requests that wait, each to be answered by `reply`."""
        taken: list[Request] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._requests.get_nowait())
        return taken

    def _hear(self, line: bytes) -> dict[str, Any]:
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
        self._notify()
        return request.wait()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = MAX_WAITING  # a full backlog refuses at once
    block_on_close = False

    def __init__(self, path: str, hear: Callable[[bytes], dict[str, Any]]) -> None:
        self.hear = hear
        super().__init__(path, _Handler)

    def server_bind(self) -> None:
        # Before it is bound, so that the socket is never there with another mode.
        os.fchmod(self.socket.fileno(), 0o600)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        log.debug("a command on this box went away")


class _Handler(socketserver.StreamRequestHandler):
    timeout = 5.0
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline(MAX_BYTES + 1)
        answer = self.server.hear(line) if len(line) <= MAX_BYTES else {"error": f"more than {MAX_BYTES} bytes"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def ask(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Ask the running service.

    Args:
        path: Of its socket.
        document: What is asked.

    Raises:
        ControlError: No service runs there, it belongs to another user, or it refused.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_seconds(document) + 5.0)
            connection.connect(str(path))
            connection.sendall(json.dumps(document).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
    except PermissionError as error:
        raise ControlError(f"{path} belongs to another user", "Run this as the service's user or with sudo") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(
            f"no service listens on {path}", "Is it running, with the paths.state of this -c?"
        ) from error
    except (OSError, ValueError) as error:
        raise ControlError(f"the service on {path} did not answer: {error}") from error
    if "error" in answer:
        raise ControlRefusedError(f"the service refused: {answer['error']}")
    return dict(answer)


def _seconds(document: dict[str, Any]) -> float:
    return LONG_SECONDS.get(str(document.get("command")), REPLY_SECONDS)
