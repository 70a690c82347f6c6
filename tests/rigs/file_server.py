"""An HTTP server for the files of a folder, and for redirects."""

from __future__ import annotations

import functools
import hashlib
import ssl
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import Self


class FileServer:
    """Serves a folder on a port of its own; `/elsewhere/NAME` redirects to `/NAME`.

    Args:
        folder: The files.
        certificate: Folder with `server.pem` and `server.key` for `localhost`; then it serves https.
    """

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        self.folder = folder
        self._server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}/"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "server.pem", certificate / "server.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, bundle: Path, name: str) -> tuple[str, str]:
        """Offer a bundle as a .tar; returns its URL and SHA-256."""
        path = self.folder / name
        with tarfile.open(path, "w") as archive:
            archive.add(bundle.resolve(), bundle.name)  # an installed bundle is a link
        return self.url + name, hashlib.sha256(path.read_bytes()).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that has read enough


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/elsewhere"))
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass
