"""Evidence events: an alarm names its evidence when it is raised, and reports it once more when it is stored."""

from __future__ import annotations

from asd_agent.alarm.state import AlarmState, Event, EvidenceSummary
from asd_agent.alarm.transition import Transition
from asd_agent.clock import ClockReading


def kept(
    state: AlarmState, evidence_id: str, proof: EvidenceSummary, now: ClockReading
) -> tuple[AlarmState, tuple[Event, ...]]:
    """Say that the proof of an alarm, standing or over, is kept; of what is not awaited nothing is said.

    Args:
        state: As it was.
        evidence_id: As `raised` named it.
        proof: What is kept.
        now: The clocks.

    Returns:
        The next state and what is to be said, to be stored together.
    """
    transition = Transition(state, now)
    found = next((a for a in state.awaited if a.evidence_id == evidence_id), None)
    if found is not None:
        transition.change(awaited=tuple(a for a in state.awaited if a != found))
        if found.alarm_id == transition.state.alarm_id:
            transition.change(evidence_id=evidence_id)
        transition.say("evidence", alarm_id=found.alarm_id, evidence_id=evidence_id, proof=proof)
    return transition.state, tuple(transition.events)


def abandon_evidence(state: AlarmState, evidence_id: str) -> AlarmState:
    """The same state without the wait for a proof that will not come: the alarm has none."""
    return state.model_copy(update={"awaited": tuple(a for a in state.awaited if a.evidence_id != evidence_id)})
