"""Long work that the page starts: a command of `asd-agent` in a process of its own, one at a time."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, Literal

from asd_agent.errors import AsdError

log = logging.getLogger(__name__)

JobState = Literal["running", "done", "failed", "cancelled"]
LINES_KEPT = 20
LONGEST_LINE = 1000
LARGEST_RESULT = 1 << 20
"""Bytes of a command's JSON document; that of `calibrate` has two thousand."""


@dataclass
class BoxJob:
    """One job.

    Attributes:
        kind: What it does, such as `calibrate`.
        monitor: Name of the monitor.
        by: Person who started it.
        expected_seconds: Time that its recording takes.
        started_utc: Seconds since 1970.
        ended_utc: None while it runs.
        state: `running` until its process has ended.
        lines: Newest lines that the command wrote for people.
        result: JSON document of the command.
    """

    kind: str
    monitor: str
    by: str
    expected_seconds: float
    started_utc: float = field(default_factory=time.time)
    ended_utc: float | None = None
    state: JobState = "running"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    result: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "kind": self.kind,
            "monitor": self.monitor,
            "by": self.by,
            "expected_seconds": self.expected_seconds,
            "started_utc": self.started_utc,
            "ended_utc": self.ended_utc,
            "state": self.state,
            "lines": list(self.lines),
            "result": self.result,
        }


class JobRunner:
    """Runs one job at a time and remembers the newest.

    Args:
        command: Returns the command line for the arguments of `asd-agent`.
    """

    def __init__(self, command: Callable[[list[str]], list[str]] | None = None) -> None:
        self._command = command or _command
        self._lock = threading.Lock()
        self._job: BoxJob | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def newest(self) -> BoxJob | None:
        """Return the job that runs, or the one that ended last."""
        return self._job

    def start(self, job: BoxJob, arguments: list[str], prepare: Callable[[], None]) -> None:
        """Start a job.

        Args:
            job: The job.
            arguments: Arguments of `asd-agent`; the command prints one JSON document on stdout.
            prepare: Called before, where no other job runs.

        Raises:
            AsdError: Another one runs.
        """
        with self._lock:
            before = self._job
            if before is not None and before.state == "running":
                raise AsdError(
                    f"{before.by} already runs {before.kind} for {before.monitor}", "Wait for it, or cancel it first."
                )
            prepare()
            self._job, self._process, self._cancelled = job, None, False
        # The kernel ends the process with the thread that started it, so this thread stays until the process ends.
        threading.Thread(target=self._run, args=(job, arguments), name="job", daemon=True).start()

    def cancel(self, by: str) -> None:
        """End the job that runs.

        Raises:
            AsdError: None runs.
        """
        with self._lock:
            if self._job is None or self._job.state != "running":
                raise AsdError("no job runs", "")
            self._cancelled = True
            log.info("job %s of monitor %s cancelled by %r", self._job.kind, self._job.monitor, by)
            if self._process is not None:
                self._process.kill()

    def _run(self, job: BoxJob, arguments: list[str]) -> None:
        status: int | None = None
        try:
            with tempfile.TemporaryFile() as output:
                status = self._wait(job, arguments, output)
                output.seek(0)
                job.result = _document(output.read(LARGEST_RESULT + 1))
        except OSError as error:
            job.lines.append(f"the job cannot be started ({error.strerror or error})")
        except Exception as error:  # whatever it is, the job must not count as running for ever
            log.exception("job %s of monitor %s failed", job.kind, job.monitor)
            job.lines.append(f"the job failed ({type(error).__name__}); see the log of asd-agent")
        with self._lock:
            job.ended_utc, self._process = time.time(), None
            # `calibrate` also returns 1 where it has read only a part of its recordings.
            done = job.result is not None and status in {0, 1}
            job.state = "cancelled" if self._cancelled else "done" if done else "failed"
        log.info("job %s of monitor %s by %r: %s (status %s)", job.kind, job.monitor, job.by, job.state, status)

    def _wait(self, job: BoxJob, arguments: list[str], output: IO[bytes]) -> int:
        with subprocess.Popen(
            self._command(arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE
        ) as process:
            with self._lock:
                self._process = process
                if self._cancelled:
                    process.kill()
            assert process.stderr is not None
            while line := process.stderr.readline(LONGEST_LINE):
                if text := line.decode("utf-8", "replace").strip():
                    job.lines.append(text)
            return process.wait()


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "asd_agent.gateway.job_child", str(os.getpid()), *arguments]


def _document(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if len(text) <= LARGEST_RESULT else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
