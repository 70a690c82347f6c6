"""What a person may ask of an alarm: acknowledge it, shelve it for a while, take it out of service, hear it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.alarm.state import AlarmState, Event, Moment, Shelving
from asd_agent.alarm.transition import Turn
from asd_agent.config.model import AlarmSettings

VERBS = ("acknowledge", "shelve", "unshelve", "out_of_service")


@dataclass(frozen=True)
class CommandResult:
    """The answer to a command.

    Attributes:
        done: Whether it took effect, or had already.
        text: What happened, or why not and what would be right.
    """

    done: bool
    text: str


def command(
    state: AlarmState, verb: str, args: Mapping[str, Any], settings: AlarmSettings, now: Moment
) -> tuple[AlarmState, tuple[Event, ...], CommandResult]:
    """Carry out an operator's wish.

    Args:
        state: As it was.
        verb: `acknowledge`, `shelve`, `unshelve` or `out_of_service`.
        args: `alarm_id` (optional) for acknowledge; `minutes` or `one_shot: true` for shelve; else none.
        settings: Bounds shelving.
        now: The clocks.

    Returns:
        The next state, what is to be said, and the answer. A refused command changes nothing but the time.
    """
    turn = Turn(state, now)
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
        result = handler(turn, args, settings)
    return turn.state, tuple(turn.events), result


def _acknowledge(turn: Turn, args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    state, wanted = turn.state, args.get("alarm_id")
    if state.phase == "normal" or not state.announced:
        return CommandResult(False, "no alarm stands")
    if wanted is not None and wanted != state.alarm_id:
        return CommandResult(False, f"alarm {wanted!r} is over; {state.alarm_id} stands")
    if state.phase == "acknowledged":
        return CommandResult(True, f"alarm {state.alarm_id} was acknowledged before")
    turn.change(phase="acknowledged")
    turn.say("acknowledged")
    return CommandResult(True, f"alarm {state.alarm_id} is acknowledged")


def _shelve(turn: Turn, args: Mapping[str, Any], settings: AlarmSettings) -> CommandResult:
    one_shot, minutes, longest = args.get("one_shot") is True, args.get("minutes"), settings.max_shelve_minutes
    if minutes is None and not one_shot:
        return CommandResult(False, "give 'minutes', or 'one_shot': true until this alarm is over")
    if minutes is None:
        minutes = longest
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not math.isfinite(minutes) or minutes <= 0:
        return CommandResult(False, f"{minutes!r} is no number of minutes above 0")
    if minutes > longest:
        return CommandResult(False, f"{minutes:g} minutes are more than max_shelve_minutes, {longest:g}")
    if turn.silenced:
        return CommandResult(False, f"it is {turn.state.state} already; unshelve it first")
    until = turn.now.monotonic + 60.0 * minutes
    kind = "one_shot" if one_shot else "timed"
    turn.change(shelving=Shelving(kind=kind, until=until, boot_id=turn.now.boot_id, remaining=60.0 * minutes))
    turn.say("shelved")
    return CommandResult(True, f"shelved for {'one alarm, at most ' if one_shot else ''}{minutes:g} minutes")


def _unshelve(turn: Turn, _args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    if not turn.silenced:
        return CommandResult(False, "it is neither shelved nor out of service")
    if turn.state.out_of_service:
        turn.change(votes=(), below=0, doubtful=(), invalid=0, unscored=0, stale=False, suspended=False)
    turn.unshelve()
    return CommandResult(True, "it is heard again")


def _out_of_service(turn: Turn, _args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    if turn.state.out_of_service:
        return CommandResult(True, "it was out of service before")
    turn.change(out_of_service=True, shelving=None)
    turn.say("out_of_service")
    return CommandResult(True, "out of service until it is unshelved; its windows count for nothing")
