"""Operator actions on an alarm: acknowledge, shelve for a time, unshelve, take out of service."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.alarm.state import AlarmState, Event, Shelving
from asd_agent.alarm.transition import NO_VOTES, Transition
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings

VERBS = ("acknowledge", "shelve", "unshelve", "out_of_service")


@dataclass(frozen=True)
class CommandResult:
    """Answer to a command.

    Attributes:
        done: Whether it took effect, or had already.
        text: The result, or the reason of a refusal and what to send instead.
    """

    done: bool
    text: str


def apply_action(
    state: AlarmState, verb: str, args: Mapping[str, Any], settings: AlarmSettings, now: ClockReading
) -> tuple[AlarmState, tuple[Event, ...], CommandResult]:
    """Apply an operator's action.

    Args:
        state: The state before.
        verb: `acknowledge`, `shelve`, `unshelve` or `out_of_service`.
        args: `alarm_id` (optional) for acknowledge; `minutes` or `one_shot: true` for shelve; else none.
        settings: Limits of shelving.
        now: The clocks.

    Returns:
        The next state, its events, and the answer. A refused action changes nothing but the time.
    """
    transition = Transition(state, now)
    handlers = {
        "acknowledge": _acknowledge,
        "shelve": _shelve,
        "unshelve": _unshelve,
        "out_of_service": _out_of_service,
    }
    handler = handlers.get(verb)
    if handler is None:
        result = CommandResult(False, f"unknown verb {verb!r}; known are {', '.join(VERBS)}")
    else:
        result = handler(transition, args, settings)
    return *transition.result, result


def _acknowledge(transition: Transition, args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    state, wanted = transition.state, args.get("alarm_id")
    if state.phase == "normal" or not state.announced:
        return CommandResult(False, "there is no standing alarm")
    if wanted is not None and wanted != state.alarm_id:
        return CommandResult(False, f"alarm {wanted!r} is over; the standing one is {state.alarm_id}")
    if state.phase == "acknowledged":
        return CommandResult(True, f"alarm {state.alarm_id} was acknowledged before")
    transition.change(phase="acknowledged")
    transition.emit("acknowledged")
    return CommandResult(True, f"alarm {state.alarm_id} is acknowledged")


def _shelve(transition: Transition, args: Mapping[str, Any], settings: AlarmSettings) -> CommandResult:
    one_shot, minutes, longest = args.get("one_shot") is True, args.get("minutes"), settings.max_shelve_minutes
    if minutes is None and not one_shot:
        return CommandResult(False, "give 'minutes', or 'one_shot': true until this alarm is over")
    if minutes is None:
        minutes = longest
    # Compared, not converted: a JSON document may hold an integer that no float can hold.
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes <= sys.float_info.max:
        return CommandResult(False, f"{str(minutes)[:40]} is no number of minutes above 0")
    if minutes > longest:
        return CommandResult(False, f"{minutes:g} minutes are more than max_shelve_minutes, {longest:g}")
    if transition.suppressed:
        return CommandResult(False, f"it is {transition.state.state} already; unshelve it first")
    until = transition.now.monotonic + 60.0 * minutes
    kind = "one_shot" if one_shot else "timed"
    transition.change(
        shelving=Shelving(kind=kind, until=until, boot_id=transition.now.boot_id, remaining=60.0 * minutes)
    )
    transition.emit("shelved")
    return CommandResult(True, f"shelved for {'one alarm, at most ' if one_shot else ''}{minutes:g} minutes")


def _unshelve(transition: Transition, _args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    if not transition.suppressed:
        return CommandResult(False, "it is neither shelved nor out of service")
    if transition.state.out_of_service:
        transition.change(**NO_VOTES, invalid=0, unscored=0, stale=False, suspended=False)
    transition.unshelve()
    return CommandResult(True, "its alarms are reported again")


def _out_of_service(transition: Transition, _args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    if transition.state.out_of_service:
        return CommandResult(True, "it was out of service before")
    transition.change(out_of_service=True, shelving=None)
    transition.emit("out_of_service")
    return CommandResult(True, "out of service until it is unshelved; its windows do not count")
