"""The service as a process of its own, watched from outside: when it is ready, and what it holds and uses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import Self

_PROC = Path("/proc")


@dataclass(frozen=True)
class Use:
    """Resources that the service and its capture children hold at one moment.

    Attributes:
        at: Monotonic seconds.
        resident: Bytes of memory.
        descriptors: Open files, sockets and pipes.
        threads: Threads.
        cpu_seconds: Processor time of the living processes since they began.
        processes: The service and its capture children.
    """

    at: float
    resident: int
    descriptors: int
    threads: int
    cpu_seconds: float
    processes: int


class AgentProcess:
    """`asd-agent run` with a configuration, ended on leaving.

    Args:
        folder: Private to it; configuration, state and log are there.
        settings: agent.yaml, without `paths`.
        environment: More variables.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "agent.yaml"
        path.write_text(yaml.safe_dump({"paths": {"state": str(folder / "state")}, **settings}))
        self.lines: list[str] = []
        self._ready = threading.Event()
        self.ready_seconds = float("nan")
        self.started = time.monotonic()
        command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "run", "-c", str(path)]
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as where it is installed
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**variables, **(environment or {})}
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join(5)

    def wait_ready(self, timeout: float = 120.0) -> float:
        """Seconds from its start until it listened."""
        if not self._ready.wait(timeout) or self.ready_seconds != self.ready_seconds:
            raise AssertionError(f"the agent is not ready: {''.join(self.lines)}")
        return self.ready_seconds

    def use(self) -> Use | None:
        """Return the resources that it holds now; None once it has ended."""
        try:
            pids = [self.process.pid, *_children(self.process.pid)]
            each = [_use_of(pid) for pid in pids]
        except (OSError, IndexError):
            return None  # a process ended between two looks
        resident, descriptors, threads, cpu = (sum(parts) for parts in zip(*each, strict=True))
        return Use(time.monotonic(), int(resident), int(descriptors), int(threads), float(cpu), len(pids))

    def _read(self) -> None:
        assert self.process.stderr is not None
        with contextlib.closing(self.process.stderr) as log:
            for line in log:
                self.lines.append(line)
                if "listening" in line:
                    self.ready_seconds = time.monotonic() - self.started
                    self._ready.set()
        self._ready.set()


def _children(pid: int) -> list[int]:
    """Children of all its threads: a child belongs to the thread that started it."""
    found: list[int] = []
    for task in (_PROC / str(pid) / "task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _use_of(pid: int) -> tuple[int, int, int, float]:
    here = _PROC / str(pid)
    resident = int((here / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    descriptors = sum(1 for _ in (here / "fd").iterdir())
    fields = (here / "stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return resident, descriptors, int(fields[17]), cpu
