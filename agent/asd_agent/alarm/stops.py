"""What stops and starts of the machine take from its windows: one that may hold either counts for nothing.

A window that is half still says how the machine sounds neither when it runs nor when it is broken. Which windows are
half still is told by those beside them: the machine stopped after the start of the last scored window, for the next
one that was judged found it standing still; and it was started before the end of the first scored window, for the one
before was still. A window that reaches beyond these bounds may hold the stop or the start. So votes are cast at once
and withdrawn when a stop follows, and after a start none is cast until sound comes that is surely of the running
machine.
"""

from __future__ import annotations

import math

from asd_agent.alarm.state import RevocableVote, ScoredWindow
from asd_agent.alarm.transition import Transition


def follow(transition: Transition, observation: ScoredWindow) -> None:
    """Note from a window whether the machine stands still, and from when on it surely runs."""
    if observation.verdict == "suspended":
        transition.change(runs_from=math.inf)
    elif observation.verdict == "scored" and transition.state.runs_from == math.inf:
        transition.change(runs_from=observation.end)


def may_hold_start(transition: Transition, observation: ScoredWindow) -> bool:
    """Whether a scored window may begin before the machine was started."""
    runs_from = transition.state.runs_from
    return runs_from is not None and observation.start < runs_from


def cast(transition: Transition, observation: ScoredWindow, n: int) -> None:
    """Count a scored window for or against an alarm, so that it can be withdrawn.

    Args:
        transition: Whose state counts.
        observation: The window.
        n: Votes that an alarm looks back on; more are kept, which show again when the newest are withdrawn.
    """
    state = transition.state
    shared = tuple(d for d in state.doubtful if d.end is not None and d.end > observation.start)
    doubtful = (*shared, RevocableVote(end=observation.end, below=state.below))
    votes = (*state.votes, observation.over)[-n - len(doubtful) :]
    transition.change(votes=votes, below=state.below + 1 if observation.below_clear else 0, doubtful=doubtful)


def withdraw(transition: Transition) -> None:
    """Count as if the windows that may hold the stop had not been there."""
    state = transition.state
    if state.doubtful:
        votes = state.votes[: -len(state.doubtful)]
        transition.change(votes=votes, below=state.doubtful[0].below, doubtful=())
