"""The alarm's step from window to window: on-delay, off-delay, escalation, re-alarm, stale and suspended."""

from __future__ import annotations

import math

from pydantic import ValidationError

from asd_agent.alarm.state import AlarmState, Event, ScoredWindow, severity_class, severity_of
from asd_agent.alarm.stops import cast, follow, may_hold_start, withdraw
from asd_agent.alarm.transition import Transition
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings

VOTES_KEPT_SECONDS = 300.0
"""Votes older than this at a restart are forgotten: the machine that they judged may be another by now."""


def step(
    state: AlarmState, observation: ScoredWindow, settings: AlarmSettings, now: ClockReading
) -> tuple[AlarmState, tuple[Event, ...]]:
    """Judge one window.

    Args:
        state: As it was.
        observation: The window; the same one given twice counts once.
        settings: When to raise and clear.
        now: For shelving, which runs on monotonic time; all else runs on the window's sample time.

    Returns:
        The next state and what is to be said, to be stored together.
    """
    transition = Transition(state, now)
    newest = state.newest
    if newest is not None and (observation.index, observation.end) == (newest.index, state.heard):
        return transition.state, tuple(transition.events)
    observation = observation.sound()
    transition.hear(observation)
    follow(transition, observation)
    if transition.state.out_of_service:
        return transition.state, tuple(transition.events)
    if observation.verdict == "scored":
        _scored(transition, observation, settings)
    else:
        _unscored(transition, observation, settings)
    _realarm(transition, observation, settings)
    return transition.state, tuple(transition.events)


def tick(state: AlarmState, now: ClockReading) -> tuple[AlarmState, tuple[Event, ...]]:
    """Let time pass without a window: a shelving ends also while its source is dead."""
    transition = Transition(state, now)
    return transition.state, tuple(transition.events)


def restore(
    text: str | None, monitor: str, bundle: str, now: ClockReading, *, records: bool = False
) -> tuple[AlarmState, str | None]:
    """The state to go on from after a start.

    A standing alarm, its id, the sequence and a shelving go on. Votes are forgotten after a reboot, with another
    bundle, or when they are more than five minutes old.

    Args:
        text: What `AlarmState.to_json` gave, None where nothing is stored.
        monitor: `<agent>/<monitor>`.
        bundle: Digest of the bundle that scores from now on.
        now: The clocks.
        records: Whether proof of each alarm is kept from now on.

    Returns:
        The state, and in words why a stored one could not be used.
    """
    fresh = AlarmState(monitor=monitor, bundle=bundle, records=records, touched=now.monotonic, boot_id=now.boot_id)
    if text is None:
        return fresh, None
    try:
        state = AlarmState.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        return fresh, f"the stored alarm state of {monitor} is unreadable ({first['msg']}); it starts as normal"
    known = state.boot_id == now.boot_id and 0 <= now.monotonic - state.touched <= VOTES_KEPT_SECONDS
    kept = known and state.bundle == bundle
    forgotten = {} if kept else {"votes": (), "below": 0, "doubtful": ()}
    update = {"monitor": monitor, "bundle": bundle, "records": records, **_new_time_line(state), **forgotten}
    return state.model_copy(update=update), None


def rebind(state: AlarmState, bundle: str, *, same_sound: bool, same_judge: bool) -> AlarmState:
    """The state to go on from when a running monitor is given other settings.

    Args:
        state: As it is.
        bundle: Digest of the bundle that scores from now on.
        same_sound: The time line of the sound goes on.
        same_judge: Bundle, section and domain are as before.
    """
    update: dict[str, object] = {"bundle": bundle}
    if not same_sound:
        update |= _new_time_line(state)
    if not (same_sound and same_judge):
        update |= {"votes": (), "below": 0, "doubtful": ()}
    return state.model_copy(update=update)


def _new_time_line(state: AlarmState) -> dict[str, object]:
    """Fields as they are when sample time begins anew.

    No window to come shares sound with those before. A stop may still have been in the last of them, and a machine
    that stood still may start within the first to come.
    """
    doubtful = tuple(d.model_copy(update={"end": None}) for d in state.doubtful)
    runs_from = math.inf if state.runs_from == math.inf else None
    return {"heard": None, "doubtful": doubtful, "runs_from": runs_from}


def _scored(transition: Transition, observation: ScoredWindow, settings: AlarmSettings) -> None:
    state = transition.state
    transition.change(invalid=0, unscored=0, stale=False, suspended=False, severity=severity_of(observation))
    if may_hold_start(transition, observation):
        return
    cast(transition, observation, settings.raise_after.n)
    if state.phase == "normal":
        if observation.over and sum(transition.state.votes[-settings.raise_after.n :]) >= settings.raise_after.k:
            transition.rise()
        return
    if transition.state.below >= settings.clear_after:
        transition.clear()
        return
    worse = severity_class(transition.state.severity) > state.told_class
    if worse and state.announced and not transition.silenced:
        transition.change(told_class=severity_class(transition.state.severity), since_told=0.0)
        transition.say("escalated")


def _unscored(transition: Transition, observation: ScoredWindow, settings: AlarmSettings) -> None:
    state = transition.state
    transition.change(unscored=state.unscored + 1)
    if transition.state.unscored >= settings.stale_after:
        transition.change(votes=(), below=0, doubtful=())
    if observation.verdict == "suspended":
        withdraw(transition)
        transition.change(invalid=0, stale=False, suspended=True)
        if not state.suspended:
            transition.say("suspended")
        return
    transition.change(invalid=state.invalid + 1)
    if transition.state.invalid >= settings.stale_after and not state.stale:
        transition.change(stale=True, suspended=False)
        transition.say("stale")


def _realarm(transition: Transition, observation: ScoredWindow, settings: AlarmSettings) -> None:
    state = transition.state
    if settings.realarm_minutes is None or observation.verdict == "suspended" or transition.silenced:
        return
    if state.phase == "active" and state.announced and state.since_told >= 60.0 * settings.realarm_minutes:
        transition.change(since_told=0.0)
        transition.say("realarmed")
