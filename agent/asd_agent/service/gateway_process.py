"""Process of the page's gateway, kept running by the service; see `asd_agent.gateway`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

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

    def start(self, config: Config) -> None:
        """Start the process; call it on a thread that lives as long as the service."""
        self._config = config
        request = {
            "parent": os.getpid(),
            "config": config.model_dump(mode="json", by_alias=True),
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

    def restart(self, config: Config) -> None:
        """Start the process anew where the configuration is another one.

        Otherwise it stays: it may wait for the answer to the very reload that it asked for, and run a job.
        """
        if config == self._config and self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self.start(config)

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
