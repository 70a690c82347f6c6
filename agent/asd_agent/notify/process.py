"""The sending process of one target, started when a message waits and ended when none has for a while."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

GRACE_SECONDS = 30.0
"""Time beyond a message's own for starting Python and loading Apprise on a slow box."""


class SendProcess:
    """Sends messages one after the other; its methods belong to one thread.

    Args:
        ca: Certificate authority that the target's server is checked against; None for the public ones.
    """

    def __init__(self, ca: Path | None) -> None:
        self._ca = ca
        self._child: subprocess.Popen[bytes] | None = None
        self.used = time.monotonic()

    @property
    def running(self) -> bool:
        """True while a process exists."""
        return self._child is not None

    def send(self, request: dict[str, Any], timeout: float) -> str | None:
        """Send a message; return why it failed, or None.

        Args:
            request: See `asd_agent.notify.child.deliver`.
            timeout: Seconds that the message may take; a process that takes longer is ended.
        """
        self.used = time.monotonic()
        try:
            child = self._started()
            assert child.stdin is not None
            child.stdin.write(json.dumps({**request, "timeout": timeout}).encode() + b"\n")
            child.stdin.flush()
            answer = _read_line(child, time.monotonic() + timeout + GRACE_SECONDS)
        except OSError as error:
            self.end()
            return f"the sending process failed ({error.strerror or error})"
        if answer is None:
            self.end()
            return f"no answer within {timeout:.0f} s"
        error_text = json.loads(answer)["error"]
        return None if error_text is None else str(error_text)

    def end(self) -> None:
        """End the process, whatever it does."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1.0)

    def interrupt(self) -> None:
        """Kill the process from another thread, so that a message in progress fails at once."""
        child = self._child
        if child is not None:
            child.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.end()
        authorities = {} if self._ca is None else {"REQUESTS_CA_BUNDLE": str(self._ca), "SSL_CERT_FILE": str(self._ca)}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "asd_agent.notify.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries print URLs there
            env={**os.environ, **authorities},
        )
        return self._child


def _read_line(child: subprocess.Popen[bytes], until: float) -> bytes | None:
    """Return the child's answer; None where it ended or did not answer in time."""
    assert child.stdout is not None
    pipe, line = child.stdout.fileno(), b""
    while not line.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        data = os.read(pipe, 65_536)
        if not data:
            return None
        line += data
    return line
