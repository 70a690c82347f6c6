"""The life of a source, judged by nothing but the samples that arrive: a pure state machine.

starting → healthy → silent (kept) or stalled → restarting → failed (still retried, for ever) → healthy.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Literal

State = Literal["starting", "healthy", "silent", "stalled", "restarting", "failed", "ended"]


class Order(Enum):
    """What has to happen now."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    KILL = "kill"


@dataclass(frozen=True)
class Change:
    """The source is in this state, for this reason.

    Attributes:
        state: The state.
        reason: Why, in words for a person; empty when all is well.
        since: Monotonic seconds at which the state began.
    """

    state: State
    reason: str
    since: float


@dataclass(frozen=True)
class SourceTimeouts:
    """How long is waited for what, in seconds.

    Attributes:
        stall: Without a sample for this long a source that was heard is stalled.
        grace: A stalled source may come back by itself for this long before its child is killed.
        first_sample: A child that was started must deliver by then.
        at_boot: The same before the first sample of all, when a slow box still loads what it needs from its card.
        backoff: Shortest time between one start and the next; it doubles each time that the source is lost soon.
        longest_backoff: What the doubling ends at.
        steady: A source that delivered for this long was not lost soon.
        attempts: Starts in a row without a sample after which the source is said to have failed.
        silence: Digital zeros for this long are silence.
        reopen_silent: A source that was heard and then fell silent is opened anew, once, after this long.
        reopen_again: No sooner than this after the last such attempt.
    """

    stall: float = 2.0
    grace: float = 0.5
    first_sample: float = 6.0
    at_boot: float = 15.0
    backoff: float = 0.5
    longest_backoff: float = 4.0
    steady: float = 3.0
    attempts: int = 5
    silence: float = 5.0
    reopen_silent: float = 120.0
    reopen_again: float = 3600.0


class SourceStateMachine:
    """Takes what happens to a source and the time, says its state and what to do.

    Args:
        now: Monotonic seconds.
        patience: How long is waited for what.
        live: Whether it is a device; a recording that is silent is not opened anew.
    """

    def __init__(self, now: float, patience: SourceTimeouts | None = None, *, live: bool = True) -> None:
        self.patience = patience or SourceTimeouts()
        self.current = Change("starting", "", now)
        self.restarts = 0
        self.complaint = ""
        """Why the child has to be killed, after `Order.KILL`."""
        self._live = live
        self._changes: deque[Change] = deque(maxlen=1000)
        self._running = False
        self._attempted = False
        self._spawned = -math.inf
        self._next_spawn = now
        self._lost_soon = 0
        self._unheard = 0
        self._first_block: float | None = None
        self._last_block = -math.inf
        self._looked = -math.inf
        self._zeros = 0.0
        self._heard_sound = False
        self._reopened = -math.inf

    @property
    def attempted(self) -> bool:
        """Whether the first attempt to open the source has come to an end, good or bad."""
        return self._attempted

    def take_changes(self) -> list[Change]:
        """The changes since this was last asked, oldest first."""
        taken = list(self._changes)
        self._changes.clear()
        return taken

    def spawned(self, now: float) -> None:
        """A child was started."""
        self.restarts += self._spawned > -math.inf
        self._running, self._spawned, self._first_block = True, now, None

    def block(self, now: float, seconds: float, *, zeros: bool) -> None:
        """A block of this length arrived, digitally silent or not."""
        self._last_block, self._attempted = now, True
        if self._first_block is None:
            self._first_block = now
        self._unheard = 0
        self._zeros = self._zeros + seconds if zeros else 0.0
        self._heard_sound |= not zeros
        if self._zeros >= self.patience.silence:
            self._enter("silent", "only digital zeros arrive: muted, or nothing is plugged in", now)
        else:
            self._enter("healthy", "", now)

    def nothing(self, now: float) -> None:
        """The pipe was looked into and held no block.

        Only this counts against a source: a reader that was itself held up has not looked.
        """
        self._looked = now

    def exited(self, now: float, reason: str) -> None:
        """The child is gone, killed or by itself, or could not be started at all."""
        was_running, self._running, self._attempted = self._running, False, True
        if not was_running or self.current.state == "ended":
            return
        steady = self._first_block is not None and now - self._first_block >= self.patience.steady
        self._lost_soon = 0 if steady else self._lost_soon + 1
        self._unheard += self._first_block is None
        if self._reopened < self._spawned:
            self._zeros = 0.0
        # Counted from the start before: a child that hung has used up its pause already.
        pause = self.patience.backoff * 2.0 ** min(max(self._lost_soon - 1, 0), 16)
        pause = min(pause, self.patience.longest_backoff)
        self._next_spawn = max(now + self.patience.backoff / 2, self._spawned + pause)
        if self._unheard >= self.patience.attempts:
            self._enter("failed", reason, now)
        elif self.current.state in {"starting", "failed"}:
            self._enter(self.current.state, reason, now)
        else:
            self._enter("restarting", reason, now)

    def ended(self, now: float) -> None:
        """The recording is over."""
        self._running = False
        self._enter("ended", "the recording is over", now)

    def tick(self, now: float) -> Order:
        """Judge; to be asked several times a second. After `KILL` the caller kills and reports `exited`."""
        if self.current.state == "ended":
            return Order.NOTHING
        if not self._running:
            return Order.SPAWN if now >= self._next_spawn else Order.NOTHING
        if self._first_block is None:
            never_heard = self._last_block == -math.inf
            patience = self.patience.at_boot if never_heard else self.patience.first_sample
            if self._looked - self._spawned < patience:
                return Order.NOTHING
            self.complaint = "the device was opened but gives no samples"
            return Order.KILL
        quiet = self._looked - self._last_block
        if quiet >= self.patience.stall:
            self._enter("stalled", "the samples have stopped", now)
        if quiet >= self.patience.stall + self.patience.grace:
            self.complaint = "the samples have stopped"
            return Order.KILL
        if self._wants_reopening(now):
            self._reopened, self._heard_sound = now, False
            self.complaint = "silent after sound was heard: opened anew"
            return Order.KILL
        return Order.NOTHING

    def _wants_reopening(self, now: float) -> bool:
        silent = self._live and self._heard_sound and self._zeros >= self.patience.reopen_silent
        return silent and now - self._reopened >= self.patience.reopen_again

    def _enter(self, state: State, reason: str, now: float) -> None:
        if (state, reason) == (self.current.state, self.current.reason):
            return
        since = self.current.since if state == self.current.state else now
        self.current = Change(state, reason, since)
        self._changes.append(self.current)
