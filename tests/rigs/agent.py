"""`asd-agent run` as a process whose log can be waited for, and its configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rigs.waiting import PATIENCE


class Agent:
    """The process.

    Args:
        config: agent.yaml.
        environment: More of it.
    """

    def __init__(self, config: Path, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "run", "-c", str(config)]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.lines: list[str] = []
        self._news, self._over = threading.Condition(), False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def wait_log(self, words: str) -> None:
        """Wait until a line of its log holds these words; fail at once where the process has ended without."""

        def found() -> bool:
            return any(words in line for line in self.lines)

        with self._news:
            self._news.wait_for(lambda: found() or self._over, PATIENCE)
            assert found(), f"{words!r} is not in the log:\n{''.join(self.lines)}"

    def children(self) -> list[int]:
        """Process ids of its capture children."""
        told = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for path in told for child in path.read_text().split()]

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.close()

    def close(self) -> int:
        """SIGTERM, if it runs; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(timeout=PATIENCE)
        self._thread.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def running(config: Path, environment: dict[str, str] | None = None) -> Iterator[Agent]:
    """An agent for a while."""
    agent = Agent(config, environment)
    try:
        yield agent
    finally:
        if agent.process.poll() is None:
            agent.close()


def write_config(folder: Path, bundle: Path, source: dict[str, Any], port: int, **monitor: Any) -> Path:
    """An agent.yaml with one source, `sound`, and one monitor, `m`."""
    path = folder / "agent.yaml"
    settings = {
        "agent": {"name": "box"},
        "mqtt": {"host": "127.0.0.1", "port": port, "reconnect_seconds": [0.2, 0.5]},
        "sources": {"sound": source},
        "monitors": {"m": {"source": "sound", "bundle": str(bundle), "section": "00", **monitor}},
        "paths": {"state": str(folder / "state")},
    }
    path.write_text(yaml.safe_dump(settings))
    return path
