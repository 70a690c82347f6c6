"""Process of the page's gateway, kept running by the service; see `asd_agent.gateway`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from asd_agent.config.model import Config

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0
"""Time before the process is started again, doubled each time that it has not run for that long."""
END_SECONDS = 2.0


class GatewayProcess:
    """Starts the gateway and starts it again when it has ended; the page is no part that the service waits for.

    Args:
        file: agent.yaml, for the doctor; None where there is none.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._config: Config | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._wait, self._started = FIRST_RETRY_SECONDS, float("-inf")
        self._due: float | None = None
        self._sending = threading.Lock()

    def start(self, config: Config) -> None:
        """Start the process; call it on a thread that lives as long as the service."""
        self._config = config
        request = {
            "parent": os.getpid(),
            "config": _document(config),
            "file": None if self._file is None else str(self._file),
        }
        try:
            process = subprocess.Popen([sys.executable, "-m", "asd_agent.gateway"], stdin=subprocess.PIPE)
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            log.warning("the page's gateway cannot be started (%s); it is tried again", error)
            return
        self._process = process

    def use(self, config: Config) -> None:
        """Let the process answer by another configuration.

        It stays: it may wait for the answer to the very reload that it asked for, and run a job.
        """
        if config == self._config:
            return
        self._config = config
        if self._process is not None and self._process.poll() is None:
            line = json.dumps({"config": _document(config)}).encode() + b"\n"
            # On a thread of its own: a process that does not read must not hold the service up.
            threading.Thread(target=self._send, args=(self._process, line), name="gateway", daemon=True).start()

    def _send(self, process: subprocess.Popen[bytes], line: bytes) -> None:
        assert process.stdin is not None
        with self._sending, contextlib.suppress(OSError, ValueError):  # where it has ended, a new one gets it at start
            process.stdin.write(line)
            process.stdin.flush()

    def cycle(self, now: float) -> None:
        """Start the process again when it has ended; `now` is the monotonic clock in seconds."""
        if self._config is None or (self._process is not None and self._process.poll() is None):
            self._due = None
            return
        if self._due is None:
            status = None if self._process is None else self._process.returncode
            self._wait = min(2 * self._wait, LAST_RETRY_SECONDS)
            if now - self._started > LAST_RETRY_SECONDS:
                self._wait = FIRST_RETRY_SECONDS
            self._due = now + self._wait
            log.warning("the page's gateway has ended (status %s); it is started again in %g s", status, self._wait)
        if now >= self._due:
            self.stop()
            self.start(self._config)
            self._started = now

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _document(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True)
