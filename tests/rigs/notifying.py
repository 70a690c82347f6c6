"""One target of notifications with an outbox of its own, and alerts to send through it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asd_agent.clock import Clock, SystemClock, iso_utc
from asd_agent.config.notify import NotifySettings
from asd_agent.notify.notifier import Notifications
from asd_agent.notify.target import NotifyStats
from asd_agent.outbox.schema import OUTBOX_NAME, Message
from asd_agent.outbox.store import Outbox

_numbers = itertools.count(1)


def alert(event: str = "raised", *, alarm_id: str | None = None, severity: int = 300, **more: Any) -> Message:
    """An alert as the agent stores it."""
    number = next(_numbers)
    payload = {
        "schema": "asd.alert/1",
        "id": f"id-{number}",
        "alarm_id": alarm_id or f"alarm-{number}",
        "event": event,
        "machine": "fan",
        "section": "00",
        "score": 4.5,
        "threshold": 2.0,
        "severity": severity,
        "agent": "hall-3",
        "monitor": "press",
        "time": iso_utc(SystemClock().utc()),
        "clock": "synchronised",
        **more,
    }
    return Message(f"id-{number}", "asd/hall-3/monitor/press/alert", json.dumps(payload), vital=True)


class Notifying:
    """The outbox and its targets."""

    def __init__(self, outbox: Outbox, notifier: Notifications) -> None:
        self.outbox, self.notifier = outbox, notifier

    def store(self, *messages: Message) -> list[str]:
        """Store alerts and wake the targets; returns the alerts' ids."""
        self.outbox.append(messages)
        self.notices = self.notifier.cycle()
        return [m.id for m in messages]

    @property
    def stats(self) -> NotifyStats:
        """State of the target `t`."""
        return self.notifier.stats["t"]


def target(folder: Path, url: str, **settings: Any) -> NotifySettings:
    """Settings of a target that is tried again quickly."""
    (folder / "url").write_text(url + "\n")
    return NotifySettings.model_validate(
        {"url": {"file": folder / "url"}, "retry_seconds": (0.05, 0.2), **settings}, strict=False
    )


@contextmanager
def notifying(folder: Path, settings: NotifySettings, clock: Clock | None = None) -> Iterator[Notifying]:
    """One target, `t`, that runs."""
    clock = clock or SystemClock()
    outbox = Outbox(folder / OUTBOX_NAME, clock)
    notifier = Notifications({"t": settings}, outbox, clock, folder / "evidence")
    notifier.start()
    try:
        yield Notifying(outbox, notifier)
    finally:
        notifier.stop(0.0)
        outbox.close()
