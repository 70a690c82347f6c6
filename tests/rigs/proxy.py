"""A network that can be cut and held up: a TCP proxy in front of a broker."""

from __future__ import annotations

import contextlib
import socket
import threading

from typing_extensions import Self

from rigs.waiting import PATIENCE


class Proxy:
    """Passes bytes between whoever connects to `port` and a port on this machine.

    Args:
        target: The port behind it.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._whole = True
        self._answers = threading.Event()
        self._answers.set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        # shutdown wakes the thread that accepts; close alone does not.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._accepting.join(PATIENCE)

    def cut(self) -> None:
        """End every connection and let none through."""
        with self._lock:
            self._whole = False
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        # Only now: what was withheld must not slip through on its way to being cut.
        self._answers.set()

    def mend(self) -> None:
        """Let connections through."""
        with self._lock:
            self._whole = True

    def withhold_answers(self) -> None:
        """Hold back what the broker sends; what is sent to it still passes."""
        self._answers.clear()

    def release_answers(self) -> None:
        """Pass on what was kept back."""
        self._answers.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._server.accept()
            except OSError:
                return
            with self._lock:
                whole = self._whole
            if not whole:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._pairs.append((near, far))
            threading.Thread(target=self._pump, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, self._answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, gate: threading.Event | None) -> None:
        try:
            while data := source.recv(65536):
                if gate is not None:
                    gate.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            done = gate is not None
        if done:
            source.close()
