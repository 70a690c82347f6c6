"""Proof of an alarm: named when the alarm is raised, said once more when it is kept, or given up without a word."""

from __future__ import annotations

from asd_agent.alarm.state import AlarmState, Event, Moment, Proof
from asd_agent.alarm.transition import Turn


def kept(state: AlarmState, evidence_id: str, proof: Proof, now: Moment) -> tuple[AlarmState, tuple[Event, ...]]:
    """Say that the proof of an alarm, standing or over, is kept; of what is not awaited nothing is said.

    Args:
        state: As it was.
        evidence_id: As `raised` named it.
        proof: What is kept.
        now: The clocks.

    Returns:
        The next state and what is to be said, to be stored together.
    """
    turn = Turn(state, now)
    found = next((a for a in state.awaited if a.evidence_id == evidence_id), None)
    if found is not None:
        turn.change(awaited=tuple(a for a in state.awaited if a != found))
        if found.alarm_id == turn.state.alarm_id:
            turn.change(evidence_id=evidence_id)
        turn.say("evidence", alarm_id=found.alarm_id, evidence_id=evidence_id, proof=proof)
    return turn.state, tuple(turn.events)


def given_up(state: AlarmState, evidence_id: str) -> AlarmState:
    """The same state without the wait for a proof that will not come: the alarm has none."""
    return state.model_copy(update={"awaited": tuple(a for a in state.awaited if a.evidence_id != evidence_id)})
