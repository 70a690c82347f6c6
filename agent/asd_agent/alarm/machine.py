"""The alarm's state machine: on-delay, off-delay, escalation, re-alarm, stale, suspended, and the evidence of alarms.

A window that is half stopped shows how the machine sounds neither when it runs nor when it is broken, so it must not
count. The windows beside it show which ones those are. The machine stopped after the start of the last scored window,
since the next judged one found it stopped. It was started before the end of the first scored window, since the one
before was stopped. A window that reaches beyond these bounds may hold the stop or the start. So a vote counts at once
and is revoked when a stop follows; after a start none counts until a window begins that is surely of the running
machine.
"""

from __future__ import annotations

import math
import re

from pydantic import ValidationError

from asd_agent.alarm.state import AlarmState, Event, EvidenceSummary, RevocableVote
from asd_agent.alarm.transition import NO_VOTES, Transition
from asd_agent.alarm.window import ScoredWindow, severity_class, severity_of
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings

STATE_CHARACTERS = 100_000
"""Characters of an unreadable state that are searched for its sequence; a whole one has about 2,000."""
VOTES_KEPT_SECONDS = 300.0
"""Votes older than this at a restart are dropped: the machine may run another job by now."""


def step(
    state: AlarmState, window: ScoredWindow, settings: AlarmSettings, now: ClockReading
) -> tuple[AlarmState, tuple[Event, ...]]:
    """Apply one judged window.

    Args:
        state: The state before.
        window: The window; the same one given twice counts once.
        settings: Rules for raising and clearing.
        now: Time for shelving, which runs on monotonic time; all else runs on the window's sample time.

    Returns:
        The next state and its events, to be stored together.
    """
    transition = Transition(state, now)
    newest = state.newest
    if newest is not None and (window.index, window.end) == (newest.index, state.last_sample_time):
        return transition.result
    window = window.validated()
    transition.record_window(window)
    _record_stop_or_start(transition, window)
    if transition.state.out_of_service:
        return transition.result
    if window.verdict == "scored":
        _apply_scored(transition, window, settings)
    else:
        _apply_unscored(transition, window, settings)
    _realarm(transition, window, settings)
    return transition.result


def tick(state: AlarmState, now: ClockReading) -> tuple[AlarmState, tuple[Event, ...]]:
    """Advance time without a window: a shelving ends also while its source delivers nothing.

    A state that is not shelved stays as it is: the service asks for each monitor in each of its cycles.
    """
    if state.shelving is None:
        return state, ()
    return Transition(state, now).result


def restore(
    text: str | None, monitor: str, bundle: str, now: ClockReading, *, evidence: bool = False
) -> tuple[AlarmState, str | None]:
    """Return the state to continue from after a start.

    A standing alarm, its id, the sequence and a shelving continue. Votes are dropped after a reboot, with another
    bundle, or when they are more than five minutes old.

    Args:
        text: The stored `AlarmState.to_json`, None where nothing is stored.
        monitor: `<agent>/<monitor>`.
        bundle: Digest of the bundle that scores from now on.
        now: The clocks.
        evidence: Whether evidence of each alarm is stored from now on.

    Returns:
        The state, and the reason, in words, why a stored one could not be used.
    """
    if text is None:
        return _new_state(monitor, bundle, now, evidence=evidence), None
    try:
        state = AlarmState.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        complaint = f"the stored alarm state of {monitor} is unreadable ({first['msg']}); it starts as normal"
        # A sequence that began again would hide every loss before it, and repeat numbers with other ids.
        seq = max((int(n) for n in re.findall(r'"seq":\s{0,3}(\d{1,15})', text[:STATE_CHARACTERS])), default=0)
        fresh = _new_state(monitor, bundle, now, evidence=evidence)
        return fresh.model_copy(update={"seq": seq + 1 if seq else 0}), complaint
    recent = state.boot_id == now.boot_id and 0 <= now.monotonic - state.updated_at <= VOTES_KEPT_SECONDS
    dropped = {} if recent and state.bundle == bundle else NO_VOTES
    update = {"monitor": monitor, "bundle": bundle, "evidence_enabled": evidence, **_new_sample_time(state), **dropped}
    return state.model_copy(update=update), None


def retire(state: AlarmState, now: ClockReading) -> tuple[AlarmState, tuple[Event, ...]]:
    """End the alarm of a monitor that is removed: a standing one clears, so that no reader waits for its end.

    Returns:
        The next state and its events, to be stored together.
    """
    transition = Transition(state, now)
    if transition.state.phase != "normal":
        transition.clear()
    return transition.result


def continue_above(
    state: AlarmState, seq: int, standing: str | None, now: ClockReading
) -> tuple[AlarmState, tuple[Event, ...]]:
    """Continue above what readers have seen of a state that is lost here; the loss shows as a gap of one.

    Args:
        state: The state that began anew.
        seq: Number of the newest event that readers have seen.
        standing: Id of the alarm that stands for them; it clears, unless it stands here as well.
        now: The clocks.

    Returns:
        The next state and its events, to be stored together.
    """
    transition = Transition(state, now)
    transition.change(seq=max(state.seq, seq) + 1)
    if standing is not None and standing != state.alarm_id:
        transition.emit("cleared", alarm_id=standing)
    return transition.result


def rebind(state: AlarmState, bundle: str, *, same_sound: bool, same_judge: bool) -> AlarmState:
    """Return the state to continue from when a running monitor is given other settings.

    Args:
        state: The state before.
        bundle: Digest of the bundle that scores from now on.
        same_sound: Whether the sample time of the source continues.
        same_judge: Whether bundle, section and domain are as before.
    """
    update: dict[str, object] = {"bundle": bundle}
    if not same_sound:
        update |= _new_sample_time(state)
    if not (same_sound and same_judge):
        update |= NO_VOTES
    return state.model_copy(update=update)


def record_evidence(
    state: AlarmState, evidence_id: str, summary: EvidenceSummary, now: ClockReading
) -> tuple[AlarmState, tuple[Event, ...]]:
    """Record that the evidence of an alarm, standing or over, is stored; evidence that is not pending changes nothing.

    Args:
        state: The state before.
        evidence_id: Id that `raised` named.
        summary: The stored clip.
        now: The clocks.

    Returns:
        The next state and its events, to be stored together.
    """
    transition = Transition(state, now)
    found = next((p for p in state.pending_evidence if p.evidence_id == evidence_id), None)
    if found is not None:
        transition.change(pending_evidence=tuple(p for p in state.pending_evidence if p != found))
        if found.alarm_id == transition.state.alarm_id:
            transition.change(evidence_id=evidence_id)
        transition.emit("evidence", alarm_id=found.alarm_id, evidence_id=evidence_id, evidence=summary)
    return transition.result


def abandon_evidence(state: AlarmState, evidence_id: str) -> AlarmState:
    """Return the state without evidence that will never be stored: its alarm has none."""
    pending = tuple(p for p in state.pending_evidence if p.evidence_id != evidence_id)
    return state.model_copy(update={"pending_evidence": pending})


def earliest_alarm_seconds(settings: AlarmSettings, hop: float, window: float) -> float:
    """Return the seconds from the first changed sound to the earliest alarm.

    The k-th window ends (k - 1) hops after the first.

    Args:
        settings: Rules with `raise_after`, k of n windows.
        hop: Seconds from one window's start to the next.
        window: Length of a window in seconds.
    """
    return (settings.raise_after.k - 1) * hop + window


def _new_state(monitor: str, bundle: str, now: ClockReading, *, evidence: bool) -> AlarmState:
    return AlarmState(
        monitor=monitor, bundle=bundle, evidence_enabled=evidence, updated_at=now.monotonic, boot_id=now.boot_id
    )


def _new_sample_time(state: AlarmState) -> dict[str, object]:
    """Return the fields as they are when sample time starts again.

    No later window shares sound with those before. A stop may still have been in the last of them, and a machine that
    was stopped may start within the first of the later ones.
    """
    revocable = tuple(v.model_copy(update={"end": None}) for v in state.revocable_votes)
    runs_from = math.inf if state.runs_from == math.inf else None
    return {"last_sample_time": None, "revocable_votes": revocable, "runs_from": runs_from}


def _apply_scored(transition: Transition, window: ScoredWindow, settings: AlarmSettings) -> None:
    state = transition.state
    severity = severity_of(window)
    transition.change(invalid=0, unscored=0, stale=False, suspended=False, severity=severity)
    transition.change(highest_severity=max(state.highest_severity, severity))
    if state.stale:
        transition.emit("resumed")
    if _may_hold_start(transition, window):
        return
    _count_vote(transition, window, settings.raise_after.n)
    if state.phase == "normal":
        if window.over and sum(transition.state.votes[-settings.raise_after.n :]) >= settings.raise_after.k:
            transition.raise_alarm()
        return
    if transition.state.clear_count >= settings.clear_after:
        transition.clear()
        return
    worse = severity_class(transition.state.severity) > state.reported_class
    if worse and state.announced and not transition.suppressed:
        transition.change(reported_class=severity_class(transition.state.severity), since_report=0.0)
        transition.emit("escalated")


def _apply_unscored(transition: Transition, window: ScoredWindow, settings: AlarmSettings) -> None:
    state = transition.state
    transition.change(unscored=state.unscored + 1)
    if transition.state.unscored >= settings.stale_after:
        transition.change(**NO_VOTES)
    if window.verdict == "suspended":
        _revoke_votes(transition)
        transition.change(invalid=0, stale=False, suspended=True)
        if state.stale:
            transition.emit("resumed")
        if settings.report_suspensions and not state.suspended:
            transition.emit("suspended")
        return
    transition.change(invalid=state.invalid + 1)
    if transition.state.invalid >= settings.stale_after and not state.stale:
        transition.change(stale=True, suspended=False)
        transition.emit("stale")


def _realarm(transition: Transition, window: ScoredWindow, settings: AlarmSettings) -> None:
    state = transition.state
    if settings.realarm_minutes is None or window.verdict == "suspended" or transition.suppressed:
        return
    if state.phase == "active" and state.announced and state.since_report >= 60.0 * settings.realarm_minutes:
        transition.change(since_report=0.0)
        transition.emit("realarmed")


def _record_stop_or_start(transition: Transition, window: ScoredWindow) -> None:
    """Record whether the machine is stopped, and from when on it surely runs."""
    if window.verdict == "suspended":
        transition.change(runs_from=math.inf)
    elif window.verdict == "scored" and transition.state.runs_from == math.inf:
        transition.change(runs_from=window.end)


def _may_hold_start(transition: Transition, window: ScoredWindow) -> bool:
    """Return whether a scored window may begin before the machine was started."""
    runs_from = transition.state.runs_from
    return runs_from is not None and window.start < runs_from


def _count_vote(transition: Transition, window: ScoredWindow, n: int) -> None:
    """Count a scored window for or against an alarm, so that it can be revoked.

    Args:
        transition: The transition.
        window: The window.
        n: Votes that the rule looks at; more are kept, which count again when the newest are revoked.
    """
    state = transition.state
    shared = tuple(v for v in state.revocable_votes if v.end is not None and v.end > window.start)
    revocable = (*shared, RevocableVote(end=window.end, clear_count=state.clear_count))
    votes = (*state.votes, window.over)[-n - len(revocable) :]
    clear_count = state.clear_count + 1 if window.below_clear else 0
    transition.change(votes=votes, clear_count=clear_count, revocable_votes=revocable)


def _revoke_votes(transition: Transition) -> None:
    """Count as if the windows that may hold the stop had not been there."""
    state = transition.state
    if state.revocable_votes:
        votes = state.votes[: -len(state.revocable_votes)]
        transition.change(votes=votes, clear_count=state.revocable_votes[0].clear_count, revocable_votes=())
