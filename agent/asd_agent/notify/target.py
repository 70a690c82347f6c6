"""One target of notifications: a thread that sends what waits, tries again with longer waits, and reports failures."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.clock import Clock
from asd_agent.config.notify import NotifySettings
from asd_agent.mqtt.delivery import LATE_SECONDS
from asd_agent.notices import AgentNotice
from asd_agent.notify.message import build_message, is_urgent, is_wanted
from asd_agent.notify.process import SendProcess
from asd_agent.notify.queue import NotifyQueue, WaitingMessage
from asd_agent.outbox.store import Outbox

log = logging.getLogger(__name__)

IDLE_SECONDS = 20.0
"""Time after which a sending process without work is ended; it takes some sixty megabytes."""
QUIET_POLL_SECONDS = 20.0
"""Time between looks at the clock for the end of quiet hours."""
PLAIN_AFTER = 3
"""Failures after which a message is sent without its files, which the target may refuse."""
FAILURE_WAIT_SECONDS = 60.0
"""Wait after an unexpected error of the program."""


@dataclass(frozen=True)
class NotifyStats:
    """State of one target since the start.

    Attributes:
        waiting: Messages that wait.
        sent: Messages that the target accepted.
        late: Those of them that were marked late.
        failed: Attempts that failed.
        dropped: Messages dropped because too many waited.
        fault: Why the target accepts nothing, with the remedy; empty while it does.
        last_test: Id of the last test alarm that it accepted.
    """

    waiting: int = 0
    sent: int = 0
    late: int = 0
    failed: int = 0
    dropped: int = 0
    fault: str = ""
    last_test: str | None = None


class NotifyTarget:
    """Delivers alerts and notices to one target.

    Args:
        name: Name in agent.yaml.
        settings: The target.
        outbox: Source of the messages.
        clock: The clocks.
        evidence: Folder of all evidence.
    """

    def __init__(self, name: str, settings: NotifySettings, outbox: Outbox, clock: Clock, evidence: Path) -> None:
        self.name, self._settings, self._clock, self._evidence = name, settings, clock, evidence
        self._queue = NotifyQueue(name, self._wants, outbox, settings.keep)
        self._process = SendProcess(settings.ca)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify {name}", daemon=True)
        self._notices: list[AgentNotice] = []
        self._sent = self._late = self._failed = self._dropped = 0
        self._failures = 0
        self._again = 0.0
        self._fault = ""
        self._last_test: str | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Let the thread look at the outbox."""
        self._wake.set()

    def end(self) -> None:
        """Ask the thread to end; return at once."""
        self._stopping.set()
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """End the thread; what is not sent waits in the outbox for the next start."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            self._process.interrupt()
            self._thread.join(1.0)

    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    @property
    def stats(self) -> NotifyStats:
        """Counts; may be read from any thread."""
        waiting = len(self._queue)
        return NotifyStats(
            waiting, self._sent, self._late, self._failed, self._dropped, self._fault, self._last_test
        )  # fmt: skip

    def take_notices(self) -> list[AgentNotice]:
        """Return and remove the notices for the topic `event`."""
        taken, self._notices = self._notices, []
        return taken

    def _wants(self, document: Mapping[str, Any]) -> bool:
        return is_wanted(document, self._settings)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = self._cycle()
            except Exception as error:
                # The thread must outlive any error; its target is at fault meanwhile.
                log.exception("notify %s: an unexpected error; it tries again", self.name)
                self._fault = f"{type(error).__name__}: {error}"[:300]
                pause = FAILURE_WAIT_SECONDS
            self._wake.wait(pause)
        self._process.end()

    def _cycle(self) -> float | None:
        """Send at most one message; return the seconds until the next look, None for as soon as something comes."""
        self._count_dropped(self._queue.fill())
        wait = self._again - self._clock.monotonic()
        quiet = self._is_quiet()
        following = self._queue.first(lambda document: not quiet or is_urgent(document, self._settings))
        if following is not None:
            if wait > 0:
                self._end_idle_process()
                return min(wait, IDLE_SECONDS)
            self._attempt(following)
            return 0.0
        if len(self._queue):
            self._end_idle_process()
            return QUIET_POLL_SECONDS
        return IDLE_SECONDS / 2 if self._end_idle_process() else None

    def _is_quiet(self) -> bool:
        quiet = self._settings.quiet
        now = time.localtime(self._clock.utc())
        return quiet is not None and quiet.holds(now.tm_hour * 60 + now.tm_min)

    def _end_idle_process(self) -> bool:
        """End a process that has had no work for a while; return whether one is still there."""
        if self._process.running and time.monotonic() - self._process.used > IDLE_SECONDS:
            self._process.end()
        return self._process.running

    def _attempt(self, waiting: WaitingMessage) -> None:
        age = waiting.row.age(self._clock)
        late = age > LATE_SECONDS
        message = build_message(waiting.document, self._settings, self._evidence, age=age, late=late)
        request = message.request()
        if self._failures >= PLAIN_AFTER:
            request["files"] = ()
        try:
            url = self._settings.url.read().strip()
        except (ValueError, UnicodeDecodeError) as error:
            self._fail(f"its URL cannot be read: {error}")
            return
        error_text = self._process.send({**request, "url": url}, self._settings.timeout_seconds)
        if self._stopping.is_set() and error_text is not None:
            return  # interrupted: the message waits for the next start
        if error_text is not None:
            self._fail(error_text)
            return
        self._queue.done(waiting)
        self._sent += 1
        self._late += late
        if waiting.document.get("test"):
            self._last_test = str(waiting.document.get("alarm_id"))
        if self._fault:
            log.info("notify %s: messages arrive again", self.name)
        self._failures, self._fault, self._again = 0, "", 0.0

    def _fail(self, reason: str) -> None:
        self._failed += 1
        shortest, longest = self._settings.retry_seconds
        self._again = self._clock.monotonic() + min(longest, shortest * 2.0 ** min(self._failures, 20))
        self._failures += 1
        fault = f"messages do not arrive: {reason}. They wait; check the target's URL, network and account"
        if fault != self._fault:
            log.warning("notify %s: %s", self.name, fault)
        self._fault = fault

    def _count_dropped(self, dropped: int) -> None:
        if not dropped:
            return
        self._dropped += dropped
        text = f"{dropped} messages for {self.name} were dropped, because more than {self._settings.keep} waited"
        log.warning("notify %s: %s. Repair the target, or raise notify.%s.keep", self.name, text, self.name)
        self._notices.append(AgentNotice("notifications_dropped", self.name, text, dropped))
