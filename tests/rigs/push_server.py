"""An HTTP server that accepts messages as ntfy and web hooks do, and can be away, slow or unwilling."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import Self

from asd_agent.demo.broker import free_port
from rigs.waiting import PATIENCE


class PushServer:
    """The server, started on entering.

    Args:
        folder: Holds `server.pem` and `server.key` for TLS; None for plain HTTP.

    Attributes:
        received: Each accepted request: path, headers in lower case, body.
        status: Code of the answer.
        gate: Cleared, it holds up every answer, after the request was read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.port, self._folder = free_port(), folder
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.attempts = 0
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        self.changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, again on the same port."""
        rig = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with rig.changed:
                    rig.attempts += 1
                    rig.changed.notify_all()
                rig.gate.wait(PATIENCE)
                self.send_response(rig.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                try:
                    self.wfile.write(b"{}")
                except OSError:
                    return
                if rig.status < 300:
                    with rig.changed:
                        rig.received.append((self.path, headers, body))
                        rig.changed.notify_all()

            do_PUT = do_POST  # noqa: N815 - the names are the library's

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: Any) -> None:
                pass  # a client that gave up

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._folder / "server.pem", self._folder / "server.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        self.gate.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def wait_attempts(self, count: int) -> None:
        """Wait until so many requests have come, answered or not."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.attempts >= count, PATIENCE), self.attempts

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many messages were accepted; returns the JSON of all."""
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.received) >= count, PATIENCE)
        assert done, f"{len(self.received)} of {count}: {self.received}"
        return self.objects()

    def objects(self) -> list[dict[str, Any]]:
        """JSON bodies of all accepted messages."""
        return [json.loads(body) for _, _, body in list(self.received)]
