"""A real SMTP server, plain or with TLS, that keeps the mails it accepts."""

from __future__ import annotations

import ssl
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from typing_extensions import Self

from asd_agent.demo.broker import free_port
from rigs.waiting import PATIENCE


class MailServer:
    """The server, started on entering.

    Args:
        folder: Holds `server.pem` and `server.key` for TLS from the first byte; None for plain SMTP.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.port = free_port()
        self._context: ssl.SSLContext | None = None
        if folder is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self.mails: list[EmailMessage] = []
        self._changed = threading.Condition()
        self._controller: Controller | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, again on the same port."""
        self._controller = Controller(self, hostname="localhost", port=self.port, ssl_context=self._context)
        self._controller.start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        """Keep a mail; called by aiosmtpd."""
        with self._changed:
            self.mails.append(cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default)))
            self._changed.notify_all()
        return "250 OK"

    def wait_for(self, count: int) -> list[EmailMessage]:
        """Wait for so many mails; returns them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.mails) >= count, PATIENCE), self.mails
        return self.mails
