"""State machine of a source, pure: it judges by nothing but the samples that arrive.

starting → healthy → silent (kept) or stalled → restarting → failed (still retried, without end) → healthy.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Literal

SourceStateName = Literal["starting", "healthy", "silent", "stalled", "restarting", "failed", "ended"]


class SourceAction(Enum):
    """Action that the source has to take now."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    KILL = "kill"


@dataclass(frozen=True)
class SourceStatus:
    """State of a source, with its reason.

    Attributes:
        state: Name of the state.
        reason: Reason for a person to read; empty when all is well.
        since: Monotonic seconds at which the state began.
    """

    state: SourceStateName
    reason: str
    since: float


@dataclass(frozen=True)
class SourceTimeouts:
    """Time-outs of a source, in seconds.

    Attributes:
        stall: Without a sample for this long, a source that delivered is stalled.
        grace: A stalled source may come back by itself for this long before its child is killed.
        first_sample: A child that was started must deliver by then.
        at_boot: The same before the first sample of all, when a slow box still loads what it needs from its card.
        backoff: Shortest time between one start and the next; it doubles each time that the source is lost soon.
        longest_backoff: What the doubling ends at.
        steady: A source that delivered for this long was not lost soon.
        attempts: Starts in a row without a sample after which the source has failed.
        silence: Digital zeros for this long are silence.
        reopen_silent: A source that delivered sound and then fell silent is opened anew, once, after this long.
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
    """Takes events of a source with their times, and gives its state and the next action.

    Args:
        now: Monotonic seconds.
        timeouts: Time-outs.
        live: The source is a device; a recording that is silent is not opened anew.
    """

    def __init__(self, now: float, timeouts: SourceTimeouts | None = None, *, live: bool = True) -> None:
        self.timeouts = timeouts or SourceTimeouts()
        self.current = SourceStatus("starting", "", now)
        self.restarts = 0
        self.kill_reason = ""
        """Reason why the child has to be killed, after `SourceAction.KILL`."""
        self._live = live
        self._changes: deque[SourceStatus] = deque(maxlen=1000)
        self._running = False
        self._attempted = False
        self._spawned = -math.inf
        self._next_spawn = now
        self._lost_soon = 0
        self._without_sample = 0
        self._first_block: float | None = None
        self._last_block = -math.inf
        self._polled = -math.inf
        self._zeros = 0.0
        self._had_sound = False
        self._reopened = -math.inf

    @property
    def attempted(self) -> bool:
        """True once the first attempt to open the source has come to an end, good or bad."""
        return self._attempted

    def take_changes(self) -> list[SourceStatus]:
        """Return the changes since the last call, oldest first."""
        taken = list(self._changes)
        self._changes.clear()
        return taken

    def spawned(self, now: float) -> None:
        """Note that a child was started."""
        self.restarts += self._spawned > -math.inf
        self._running, self._spawned, self._first_block = True, now, None

    def block(self, now: float, seconds: float, *, zeros: bool) -> None:
        """Note that a block of this length arrived, digitally silent or not."""
        self._last_block, self._attempted = now, True
        if self._first_block is None:
            self._first_block = now
        self._without_sample = 0
        self._zeros = self._zeros + seconds if zeros else 0.0
        self._had_sound |= not zeros
        if self._zeros >= self.timeouts.silence:
            self._enter("silent", "only digital zeros arrive: muted, or nothing is plugged in", now)
        else:
            self._enter("healthy", "", now)

    def no_block(self, now: float) -> None:
        """Note that the pipe was polled and held no block.

        Only this counts against a source: a reader that was itself held up has not polled.
        """
        self._polled = now

    def exited(self, now: float, reason: str) -> None:
        """Note that the child is gone, killed or by itself, or could not be started at all."""
        was_running, self._running, self._attempted = self._running, False, True
        if not was_running or self.current.state == "ended":
            return
        steady = self._first_block is not None and now - self._first_block >= self.timeouts.steady
        self._lost_soon = 0 if steady else self._lost_soon + 1
        self._without_sample += self._first_block is None
        if self._reopened < self._spawned:
            self._zeros = 0.0
        # Counted from the start before: a child that hung has used up its pause already.
        pause = self.timeouts.backoff * 2.0 ** min(max(self._lost_soon - 1, 0), 16)
        pause = min(pause, self.timeouts.longest_backoff)
        self._next_spawn = max(now + self.timeouts.backoff / 2, self._spawned + pause)
        if self._without_sample >= self.timeouts.attempts:
            self._enter("failed", reason, now)
        elif self.current.state in {"starting", "failed"}:
            self._enter(self.current.state, reason, now)
        else:
            self._enter("restarting", reason, now)

    def ended(self, now: float) -> None:
        """Note that the recording is over."""
        self._running = False
        self._enter("ended", "the recording is over", now)

    def tick(self, now: float) -> SourceAction:
        """Judge by the time; call several times per second. After `KILL` the caller kills and reports `exited`."""
        if self.current.state == "ended":
            return SourceAction.NOTHING
        if not self._running:
            return SourceAction.SPAWN if now >= self._next_spawn else SourceAction.NOTHING
        if self._first_block is None:
            never_delivered = self._last_block == -math.inf
            timeout = self.timeouts.at_boot if never_delivered else self.timeouts.first_sample
            if self._polled - self._spawned < timeout:
                return SourceAction.NOTHING
            self.kill_reason = "the device was opened but gives no samples"
            return SourceAction.KILL
        quiet = self._polled - self._last_block
        if quiet >= self.timeouts.stall:
            self._enter("stalled", "the samples have stopped", now)
        if quiet >= self.timeouts.stall + self.timeouts.grace:
            self.kill_reason = "the samples have stopped"
            return SourceAction.KILL
        if self._wants_reopening(now):
            self._reopened, self._had_sound = now, False
            self.kill_reason = "silent after sound was heard: opened anew"
            return SourceAction.KILL
        return SourceAction.NOTHING

    def _wants_reopening(self, now: float) -> bool:
        silent = self._live and self._had_sound and self._zeros >= self.timeouts.reopen_silent
        return silent and now - self._reopened >= self.timeouts.reopen_again

    def _enter(self, state: SourceStateName, reason: str, now: float) -> None:
        if (state, reason) == (self.current.state, self.current.reason):
            return
        since = self.current.since if state == self.current.state else now
        self.current = SourceStatus(state, reason, since)
        self._changes.append(self.current)
