"""Operator actions on alarms: acknowledge, shelve for a time, unshelve, take out of service, and judge."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from asd_agent.alarm.state import AlarmState, AlarmVerdict, Event, PastAlarm, Shelving
from asd_agent.alarm.transition import NO_VOTES, Action, Transition
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings

VERBS = ("acknowledge", "shelve", "unshelve", "out_of_service", "verdict")
VERDICTS: tuple[AlarmVerdict, ...] = get_args(AlarmVerdict)
LONGEST_NOTE = 500
"""Characters of a note: a paragraph, and little beside the 4,096 bytes of a command."""
LONGEST_LABEL = 64
LONGEST_NAME = 64


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
        verb: One of `VERBS`.
        args: `alarm_id` (optional) for acknowledge and verdict; `minutes` or `one_shot: true` for shelve; `verdict` and
            `label` (optional) for verdict; `by` and `note` (optional) for all.
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
        "verdict": _judge,
    }
    handler = handlers.get(verb)
    if handler is None:
        result = CommandResult(False, f"unknown verb {verb!r}; known are {', '.join(VERBS)}")
    else:
        action = _action(args)
        if isinstance(action, CommandResult):
            result = action
        else:
            transition.action = action
            result = handler(transition, args, settings)
    return *transition.result, result


def _action(args: Mapping[str, Any]) -> Action | CommandResult:
    """Return who acts, with the note and label, or why they cannot be taken."""
    longest = {"by": LONGEST_NAME, "note": LONGEST_NOTE, "label": LONGEST_LABEL}
    texts: dict[str, str | None] = {}
    for name, most in longest.items():
        value = args.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > most):
            return CommandResult(False, f"'{name}' is text of at most {most} characters")
        # Notes are shown on terminals and pages: a character that controls one has no business there.
        texts[name] = "".join(c if c.isprintable() else " " for c in value).strip() or None if value else None
    return Action(by=texts["by"], note=texts["note"], label=texts["label"])


def _acknowledge(transition: Transition, args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    state, wanted = transition.state, args.get("alarm_id")
    standing = state.alarm_id if state.phase != "normal" and state.announced else None
    if wanted is None or wanted == standing:
        if standing is not None:
            if state.phase == "acknowledged":
                return CommandResult(True, f"alarm {standing} was acknowledged before")
            transition.change(phase="acknowledged")
            transition.emit("acknowledged")
            return CommandResult(True, f"alarm {standing} is acknowledged")
        if not state.returned:
            return CommandResult(False, "there is no standing alarm, and none that waits to be acknowledged")
        for past in state.returned:
            _acknowledge_past(transition, past)
        count = len(state.returned)
        return CommandResult(True, f"{count} past alarm{'s are' if count > 1 else ' is'} acknowledged")
    past_alarm = _past(state, wanted)
    if past_alarm is None:
        now = f"; the standing one is {standing}" if standing else ""
        return CommandResult(False, f"alarm {str(wanted)[:64]!r} is over or unknown{now}")
    if past_alarm.acknowledged:
        return CommandResult(True, f"alarm {wanted} was acknowledged before")
    _acknowledge_past(transition, past_alarm)
    return CommandResult(True, f"alarm {wanted} is acknowledged")


def _acknowledge_past(transition: Transition, past: PastAlarm) -> None:
    done = past.model_copy(update={"acknowledged": True})
    transition.change(past=tuple(done if p.alarm_id == past.alarm_id else p for p in transition.state.past))
    transition.emit("acknowledged", alarm_id=past.alarm_id)


def _judge(transition: Transition, args: Mapping[str, Any], _settings: AlarmSettings) -> CommandResult:
    state, verdict, wanted = transition.state, args.get("verdict"), args.get("alarm_id")
    if verdict not in VERDICTS:
        return CommandResult(False, f"give 'verdict', one of {', '.join(VERDICTS)}")
    standing = state.alarm_id if state.phase != "normal" and state.announced else None
    if wanted is None:
        wanted = standing or (state.past[-1].alarm_id if state.past else None)
    if wanted is None:
        return CommandResult(False, "there has been no alarm to judge")
    if wanted != standing and _past(state, wanted) is None:
        return CommandResult(False, f"alarm {str(wanted)[:64]!r} is none of the last {len(state.past)} of this monitor")
    transition.action = Action(transition.action.by, transition.action.note, verdict, transition.action.label)
    transition.emit("verdict", alarm_id=wanted)
    return CommandResult(True, f"alarm {wanted} is judged {verdict}")


def _past(state: AlarmState, alarm_id: object) -> PastAlarm | None:
    return next((p for p in state.past if p.alarm_id == alarm_id), None)


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
