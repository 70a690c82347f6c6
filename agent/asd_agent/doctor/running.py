"""Check of the running service, through its socket: its sources, lost windows and faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.mqtt.health import Health

_WELL = {"healthy", "ended"}
MISSED_SHARE = 0.01
"""Share of the windows; more than this is reported. Below it are single windows around a restart."""


def ask_health(state: Path) -> Health | None:
    """Return the health of the running service; None where none runs or it does not answer."""
    try:
        answer: dict[str, Any] = ask(state / SOCKET_NAME, {"command": "health"})
        return Health.model_validate(answer["health"])
    except (ControlError, ValidationError, KeyError):
        return None


def judge_health(health: Health) -> list[Finding]:
    """Judge the health of the running service."""
    found = [
        problem(f"service {part}", text, _REMEDY.get(part, "See docs/troubleshooting.md"))
        for part, text in _faults(health)
    ]
    for name, source in health.sources.items():
        if source.state in _WELL:
            level = "" if source.level_dbfs is None else f" at {source.level_dbfs:.1f} dBFS"
            found.append(ok(f"sources.{name}", f"the service receives its sound{level}, {source.gaps} gaps so far"))
        elif source.state == "silent":
            remedy = (
                "Is it muted (`alsamixer`), its switch off, or the wrong channel given? A real room is never silent"
            )
            found.append(problem(f"sources.{name}", "is digitally silent", remedy))
        else:
            text = f"the service receives no sound of it: {source.state}"
            found.append(
                problem(
                    f"sources.{name}",
                    text,
                    "`journalctl -u asd-agent` shows why; `asd-agent devices` lists microphones",
                )
            )
    return [*found, *_windows(health), *_waiting(health), *_chain(health), *_drift(health), *_levels(health)]


def _faults(health: Health) -> list[tuple[str, str]]:
    return sorted(health.faults.items())


_REMEDY = {
    "broker": "See 'broker' in this report",
    "outbox": "Free the disk, or test the card; alerts are sent from memory meanwhile",
}


def _windows(health: Health) -> list[Finding]:
    w = health.windows
    due = w.scored + w.skipped + w.invalid + w.suspended
    found = []
    if w.skipped > MISSED_SHARE * due:
        remedy = (
            "This box is too slow for its monitors: `asd-agent bench` shows how many it carries; or set a longer hop"
        )
        found.append(warning("windows", f"{w.skipped} of {due} were skipped", remedy))
    if w.invalid > MISSED_SHARE * due:
        remedy = "See the sources above: gaps, silence or a constant"
        found.append(warning("windows", f"{w.invalid} of {due} could not be judged", remedy))
    if w.suspect > MISSED_SHARE * due:
        remedy = "The microphone is overloaded, or was moved since the bundle was made: see docs/tuning.md"
        found.append(warning("windows", f"{w.suspect} of {due} were overloaded or at an unusual level", remedy))
    return found or [ok("windows", f"{w.scored} of {due} scored, {w.suspended} while the machine was stopped")]


def _chain(health: Health) -> list[Finding]:
    """Report when an alarm was last proved to reach the broker."""
    last_test = health.last_test
    if last_test is None:
        return [ok("chain", "never proved to the broker; `asd-agent test-alarm MONITOR` proves it")]
    return [ok("chain", f"proved at {last_test.time} by {last_test.monitor}, in {last_test.seconds:.1f} s")]


def _drift(health: Health) -> list[Finding]:
    remedy = "See it by `asd-agent history show`; it is no alarm"
    return [warning(f"monitors.{name}", f"its scores are {text}", remedy) for name, text in health.drift.items()]


def _levels(health: Health) -> list[Finding]:
    remedy = "`asd-agent calibrate {}`, once you have heard that the machine is healthy; no level moves by itself"
    return [warning(f"monitors.{name}", text, remedy.format(name)) for name, text in health.levels.items()]


def _waiting(health: Health) -> list[Finding]:
    box = health.outbox
    found = []
    if box.dropped:
        text = f"{box.dropped} alerts were dropped since the outbox was made, because it was full"
        found.append(warning("outbox", text, "Repair the connection to the broker, or raise mqtt.outbox_rows"))
    if not box.durable:
        text = "the disk refuses; alerts are sent from memory, and a power cut would lose them"
        found.append(problem("outbox", text, "Free the disk, or test the card"))
    return found
