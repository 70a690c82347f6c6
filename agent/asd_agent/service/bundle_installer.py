"""Installation of bundles by command: download, checks, activation and trial, and the way back where any fails.

The long steps run on a thread; the loop takes its results and judges the first windows.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from asd_agent.alarm import ScoredWindow
from asd_agent.bundle import Bundle
from asd_agent.bundle.download import download
from asd_agent.clock import Clock
from asd_agent.config.model import Config
from asd_agent.errors import AsdError
from asd_agent.monitor import Monitor
from asd_agent.mqtt.install_commands import InstallReceiver
from asd_agent.mqtt.payloads import InstallBundle, InstallStage
from asd_agent.service.control import Request
from asd_agent.service.installing import (
    BundleTrial,
    Installing,
    InstallProgress,
    check_configuration,
    forget_installing,
    recover_installing,
    registry_of,
    users_of,
)
from asd_agent.service.reload import Reloader

log = logging.getLogger(__name__)

_REASON_CHARACTERS = 255
"""Length of a reason in the health report: the most that Home Assistant takes as a summary."""


class BundleInstaller:
    """Carries out one installation at a time.

    Args:
        config: The configuration at the start; a change of its section takes a restart.
        receiver: Commands and their answers.
        reloader: Loads the configuration again.
        clock: The clocks.
        recovered: Installation that a restart cut off, see `recover_installing`.
    """

    def __init__(
        self,
        config: Config,
        receiver: InstallReceiver,
        reloader: Reloader,
        clock: Clock,
        recovered: tuple[Installing, str] | None = None,
    ) -> None:
        self._config, self._receiver, self._reloader, self._clock = config, receiver, reloader, clock
        self._answers: deque[tuple[InstallBundle, InstallStage, str]] = deque()
        self._activated: deque[Installing] = deque()
        self._thread: threading.Thread | None = None
        self._installing: Installing | None = None
        self._trial: BundleTrial | None = None
        self._returned: dict[str, InstallProgress] = {}
        if recovered is not None:
            installing, given_up = recovered
            if given_up:
                self._note_return(installing, given_up)
                self._answers.append((installing.request, "returned", given_up))
            else:
                self._activated.append(installing)

    @property
    def busy(self) -> bool:
        """True while an installation is in progress or being proved."""
        return self._installing is not None or (self._thread is not None and self._thread.is_alive())

    @property
    def progress(self) -> dict[str, InstallProgress]:
        """Installations by the name that monitors refer to; may be read from any thread."""
        installing, found = self._installing, dict(self._returned)
        if installing is not None:
            found[installing.name] = InstallProgress(trial=True)
        return found

    def record_window(self, monitor: Monitor, window: ScoredWindow) -> None:
        """Record a judged window, while a bundle is being proved."""
        if self._trial is not None:
            self._trial.record(monitor.name, window)

    def cycle(self, monitors: Mapping[str, Monitor]) -> None:
        """Take commands and results, and judge a trial; called by the loop."""
        for command in self._receiver.take():
            if self.busy:
                self._receiver.answer(command, "refused", "another installation is in progress")
            else:
                self._start(self._install, command)
        while self._answers:
            self._receiver.answer(*self._answers.popleft())
        if self._activated:
            self._begin_trial(self._activated.popleft(), monitors)
        elif self._trial is not None:
            self._judge(monitors)

    def _begin_trial(self, installing: Installing, monitors: Mapping[str, Monitor]) -> None:
        self._installing = installing
        users = [monitors[name] for name in users_of(self._config, installing.name) if name in monitors]
        settings = self._config.install_bundle
        windows, minutes = (settings.trial_windows, settings.trial_minutes) if settings else (0, 1.0)
        self._trial = BundleTrial(users, windows, self._clock.monotonic() + 60.0 * minutes)
        text = f"bundle {installing.name} {installing.short} is in use; its first {windows} windows are judged"
        self._receiver.answer(installing.request, "activated", text)

    def _judge(self, monitors: Mapping[str, Monitor]) -> None:
        assert self._trial is not None
        installing = self._installing
        assert installing is not None
        verdict = self._trial.verdict(list(monitors.values()), self._clock.monotonic())
        if verdict is None:
            return
        self._trial = self._installing = None
        if verdict:
            self._start(self._return, installing, verdict)
            return
        forget_installing(self._config.paths.state)
        self._returned.pop(installing.name, None)
        self._receiver.answer(installing.request, "proved", f"bundle {installing.name} {installing.short} is in use")

    def _start(self, work: object, *arguments: object) -> None:
        self._thread = threading.Thread(target=work, args=arguments, name="install", daemon=True)  # type: ignore[arg-type]
        self._thread.start()

    def _install(self, command: InstallBundle) -> None:
        try:
            self._answers_of(command)
        except AsdError as error:
            self._answers.append((command, "refused", str(error)))
        except Exception as error:
            log.exception("install_bundle: unexpected error; the bundle in use stays")
            self._answers.append((command, "refused", f"unexpected {type(error).__name__}: {error}"[:500]))

    def _answers_of(self, command: InstallBundle) -> None:
        config, settings = self._config, self._config.install_bundle
        assert settings is not None
        registry = registry_of(config, self._clock)
        with tempfile.TemporaryDirectory(prefix="install-", dir=config.paths.state) as folder:
            tar = Path(folder) / "bundle.tar"
            limit = round(settings.max_megabytes * 1e6)
            download(command.url, tar, sha256=command.sha256, most_bytes=limit, ca=settings.ca)
            stored = registry.install(tar, command.name, activate=False)
        try:
            check_configuration(config, Bundle.open(stored.path), stored.name)
        except AsdError:
            if not stored.active:
                registry.remove(stored.name, stored.short)
            raise
        if stored.active:
            self._answers.append((command, "proved", f"bundle {stored.name} {stored.short} was in use already"))
            return
        installing = Installing(command.model_dump_json(by_alias=True), stored.name, stored.short)
        installing.write(config.paths.state)
        registry.activate(stored.name, stored.short)
        error = self._reload()
        if error:
            registry.rollback(stored.name)
            self._reload()
            forget_installing(config.paths.state)
            self._note_return(installing, error)
            self._answers.append((command, "returned", f"the service cannot use it: {error}"))
            return
        self._activated.append(installing)

    def _return(self, installing: Installing, reason: str) -> None:
        command = installing.request
        self._note_return(installing, reason)
        try:
            before = registry_of(self._config, self._clock).rollback(installing.name)
            error = self._reload()
        except AsdError as failure:
            self._answers.append((command, "returned", f"{reason}; and the former one cannot be used: {failure}"))
            return
        forget_installing(self._config.paths.state)
        text = f"{reason}; bundle {before.name} {before.short} is in use again"
        self._answers.append((command, "returned", f"{text}, but: {error}" if error else text))

    def _note_return(self, installing: Installing, reason: str) -> None:
        self._returned[installing.name] = InstallProgress(returned=installing.short, reason=reason[:_REASON_CHARACTERS])

    def _reload(self) -> str:
        """Let the service read its configuration again; return the error, if any."""
        request = Request({"command": "reload"})
        self._reloader.ask(request)
        return str(request.wait().get("error", ""))


__all__ = ["BundleInstaller", "recover_installing"]
