"""Runs checks one after the other, each within its time; one that hangs or fails is a finding and ends no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from asd_agent.config.finding import Finding, problem
from asd_agent.errors import AsdError

Inspect = Callable[[], Sequence[Finding]]


@dataclass(frozen=True)
class Check:
    """Group of checks on one subject.

    Attributes:
        name: One word.
        inspect: Returns the findings; called on a thread of its own.
        seconds: Longest time that it may take.
    """

    name: str
    inspect: Inspect
    seconds: float = 30.0


@dataclass(frozen=True)
class CheckResult:
    """Check by name, with its findings."""

    name: str
    findings: tuple[Finding, ...]


def run_checks(checks: Iterable[Check], begin: Callable[[str], None] = lambda _name: None) -> list[CheckResult]:
    """Run checks in turn.

    Args:
        checks: The checks.
        begin: Called with the name of each check before it begins.
    """
    done = []
    for check in checks:
        begin(check.name)
        done.append(CheckResult(check.name, tuple(_within(check))))
    return done


def _within(check: Check) -> Sequence[Finding]:
    answers: queue.Queue[Sequence[Finding]] = queue.Queue(1)
    threading.Thread(target=lambda: answers.put(_inspect(check)), name=f"check {check.name}", daemon=True).start()
    try:
        return answers.get(timeout=check.seconds)
    except queue.Empty:
        text = f"did not come to an end within {check.seconds:g} s"
        return [
            problem(check.name, text, "What it checks hangs; restart the box, then read the kernel's log (`dmesg`)")
        ]


def _inspect(check: Check) -> Sequence[Finding]:
    try:
        return check.inspect()
    except AsdError as error:
        return [problem(check.name, error.what, error.remedy)]
    except Exception as error:  # noqa: BLE001 - a check that fails must not hide the others
        text = f"could not be checked: {type(error).__name__}: {error}"
        return [problem(check.name, text, "Run the doctor with sudo; if it stays, report this line")]
