"""Runs checks one after the other, each within its time; one that hangs or breaks is a finding and ends nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from asd_agent.config.finding import Finding, problem
from asd_agent.errors import AsdError

Look = Callable[[], Sequence[Finding]]


@dataclass(frozen=True)
class Check:
    """A group of things to look at.

    Attributes:
        name: One word.
        look: Looks, on a thread of its own.
        seconds: How long it may take.
    """

    name: str
    look: Look
    seconds: float = 30.0


@dataclass(frozen=True)
class Examined:
    """A check and what it found."""

    name: str
    findings: tuple[Finding, ...]


def run_checks(checks: Iterable[Check], begin: Callable[[str], None] = lambda _name: None) -> list[Examined]:
    """Run them in turn.

    Args:
        checks: What to look at.
        begin: Told the name of each check before it begins.
    """
    done = []
    for check in checks:
        begin(check.name)
        done.append(Examined(check.name, tuple(_within(check))))
    return done


def _within(check: Check) -> Sequence[Finding]:
    answers: queue.Queue[Sequence[Finding]] = queue.Queue(1)
    threading.Thread(target=lambda: answers.put(_look(check)), name=f"check {check.name}", daemon=True).start()
    try:
        return answers.get(timeout=check.seconds)
    except queue.Empty:
        text = f"did not come to an end within {check.seconds:g} s"
        return [
            problem(check.name, text, "Whatever it looked at hangs; restart the box, then look at the kernel's log")
        ]


def _look(check: Check) -> Sequence[Finding]:
    try:
        return check.look()
    except AsdError as error:
        return [problem(check.name, error.what, error.remedy)]
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
        text = f"could not be looked at: {type(error).__name__}: {error}"
        return [problem(check.name, text, "Run the doctor with sudo; if it stays, report this line")]
