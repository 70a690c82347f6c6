"""A service manager of its own: `systemd --user` in a private mount namespace, running the project's unit.

Its system-wide sandbox is left to `scripts/try-on-debian`: a user's manager may not set it up. Everything before
`User=` in the unit is what is run here, with shorter times where a test asks for them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import pytest
from typing_extensions import Self

from rigs.waiting import PATIENCE

UNIT = Path(__file__).parents[2] / "systemd" / "asd-agent.service"
NAME = f"asd-agent-{os.getpid()}.service"
"""Of this process: managers beside each other share a control group, and each ends what runs under a unit's name."""
_NAMESPACE = """\
set -e
mount -t tmpfs tmpfs /run/systemd
mkdir -p /run/systemd/system
exec /lib/systemd/systemd --user --log-target=console --log-level=info
"""


class UserManager:
    """Started on entering; stops what it runs on leaving.

    Args:
        folder: Private to it, with a short path: it holds sockets.
        config: agent.yaml of the service.
        environment: More of the service's environment.
        changes: Lines for its `[Service]` in place of the unit's, such as `WatchdogSec=3`.
    """

    def __init__(
        self, folder: Path, config: Path, environment: dict[str, str] | None = None, changes: tuple[str, ...] = ()
    ) -> None:
        self._folder = folder
        self._log, self._said = folder / "manager.log", folder / "service.log"
        self._manager: subprocess.Popen[bytes] | None = None
        units = folder / "xdg" / "systemd" / "user"
        units.mkdir(parents=True)
        (folder / "run").mkdir(mode=0o700)
        text = UNIT.read_text().split("\nUser=")[0]
        (units / NAME).write_text(text + "\n")
        wrapper = folder / "asd-agent"
        wrapper.write_text(f"#!{sys.executable}\nfrom asd_agent.cli import main\nmain()\n")
        wrapper.chmod(0o755)
        known = {**{k: os.environ[k] for k in ("PATH", "PYTHONPATH") if k in os.environ}, **(environment or {})}
        lines = [f"ExecStart=\nExecStart={wrapper} run -c {config}", f"StandardError=append:{self._said}"]
        lines += [f'Environment="{key}={value}"' for key, value in known.items()]
        (units / f"{NAME}.d").mkdir()
        (units / f"{NAME}.d" / "test.conf").write_text("\n".join(["[Service]", *lines, *changes]) + "\n")

    @property
    def log(self) -> str:
        """Lines that the manager logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def said(self) -> str:
        """Lines that the service logged."""
        return self._said.read_text(errors="replace") if self._said.exists() else ""

    def systemctl(self, *arguments: str, check: bool = True, timeout: float = PATIENCE) -> str:
        """Run systemctl; with `check`, it must succeed."""
        assert self._manager is not None
        inside = ["nsenter", f"--target={self._manager.pid}", "--mount", "systemctl", "--user", *arguments]
        done = subprocess.run(
            inside, capture_output=True, text=True, env=self._environment(), timeout=timeout, check=False
        )
        assert done.returncode == 0 or not check, f"{arguments}: {done.stderr}{self.log[-3000:]}{self.said[-3000:]}"
        return done.stdout

    def show(self, *names: str) -> dict[str, str]:
        """Properties of the service."""
        return dict(line.split("=", 1) for line in self.systemctl("show", NAME, "-p", ",".join(names)).splitlines())

    def wait(self, timeout: float = PATIENCE, **wanted: str) -> None:
        """Wait until the service's properties are these."""
        until = time.monotonic() + timeout
        while (got := self.show(*wanted)) != wanted:
            assert time.monotonic() < until, f"{got}, not {wanted}\n{self.log[-3000:]}{self.said[-3000:]}"
            _pause()

    def wait_said(self, words: str, timeout: float = PATIENCE, *, times: int = 1) -> None:
        """Wait until the service has logged it."""
        until = time.monotonic() + timeout
        while self.said.count(words) < times:
            assert time.monotonic() < until, f"{words!r} was not said\n{self.log[-3000:]}{self.said[-3000:]}"
            _pause()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the service's main process."""
        os.kill(int(self.show("MainPID")["MainPID"]), number)

    def __enter__(self) -> Self:
        """Start; a machine where this cannot be skips the test, CI fails it."""
        missing = [p for p in ("unshare", "nsenter", "systemctl") if shutil.which(p) is None]
        if missing or os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists():
            message = f"a service manager of its own wants root and systemd{': no ' if missing else ''}{missing or ''}"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        with self._log.open("ab") as log:
            self._manager = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _NAMESPACE], env=self._environment(), stdout=log, stderr=log
            )
        until = time.monotonic() + PATIENCE
        while not (self._folder / "run" / "systemd" / "private").exists():
            if self._manager.poll() is not None or time.monotonic() > until:
                self.__exit__(None, None, None)
                raise RuntimeError(f"systemd --user did not start: {self.log}")
            _pause()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._manager is None:
            return
        if self._manager.poll() is None:
            self.systemctl("kill", "--signal=SIGKILL", NAME, check=False)
            self._manager.terminate()
            try:
                self._manager.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self._manager.kill()
                self._manager.wait()
        self._manager = None

    def _environment(self) -> dict[str, str]:
        own = {"XDG_RUNTIME_DIR": str(self._folder / "run"), "XDG_CONFIG_HOME": str(self._folder / "xdg")}
        return {**os.environ, **own, "HOME": str(self._folder)}


def _pause() -> None:
    """The manager is asked again after a moment; its own signals would want a D-Bus library."""
    time.sleep(0.1)
