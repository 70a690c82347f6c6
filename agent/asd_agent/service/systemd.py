"""Notifications to the service manager (sd_notify(3)); without its socket they do nothing."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Reports the service's state to systemd."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        interval = os.environ.get("WATCHDOG_USEC", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._half_interval = int(interval) / 2e6 if interval.isdigit() and mine else None
        self._fed = 0.0

    def ready(self) -> None:
        """Report that the service has started, or that a reload is done."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Report that the service is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def feed(self, now: float) -> None:
        """Feed the watchdog, at most every half of its interval.

        Args:
            now: CLOCK_MONOTONIC in seconds.
        """
        if self._half_interval is not None and now - self._fed >= self._half_interval:
            self._fed = now
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Report that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.connect(self._address)
                out.sendall(message.encode())
        except OSError:
            pass  # a manager that restarts must not end the service
