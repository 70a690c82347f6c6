"""All targets of notifications, as the service runs them: it never waits for any of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from asd_agent.clock import Clock
from asd_agent.config.notify import NotifySettings
from asd_agent.notices import AgentNotice
from asd_agent.notify.target import NotifyStats, NotifyTarget
from asd_agent.outbox.store import Outbox


class Notifications:
    """Starts, wakes and ends the targets.

    Args:
        settings: Section `notify` of the configuration, by name.
        outbox: Source of the messages.
        clock: The clocks.
        evidence: Folder of all evidence.
    """

    def __init__(self, settings: Mapping[str, NotifySettings], outbox: Outbox, clock: Clock, evidence: Path) -> None:
        outbox.follow(settings)
        self._outbox = outbox
        self._targets = [NotifyTarget(name, chosen, outbox, clock, evidence) for name, chosen in settings.items()]
        self._seen = 0

    def start(self) -> None:
        """Start all threads."""
        for target in self._targets:
            target.start()

    def cycle(self) -> list[AgentNotice]:
        """Wake the targets where the outbox has grown; return notices for the topic `event`."""
        grown, self._seen = self._outbox.appended != self._seen, self._outbox.appended
        notices: list[AgentNotice] = []
        for target in self._targets:
            if grown:
                target.wake()
            notices += target.take_notices()
        return notices

    def stop(self, timeout: float = 3.0) -> None:
        """End all threads; messages in progress have so many seconds together."""
        for target in self._targets:
            target.end()
        until = time.monotonic() + timeout
        for target in self._targets:
            target.stop(max(0.0, until - time.monotonic()))

    def ended(self) -> list[str]:
        """Return the names of targets whose thread has ended."""
        return [target.name for target in self._targets if not target.alive()]

    @property
    def stats(self) -> dict[str, NotifyStats]:
        """Counts of each target, by name; may be read from any thread."""
        return {target.name: target.stats for target in self._targets}
