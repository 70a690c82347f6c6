"""What the alarm states are made of: a judged window, the state itself and the events that leave it.

The words follow OPC UA Part 9 (Alarms and Conditions): acknowledged, shelved, out of service, severity 1–1000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from asd_agent.clock import ClockReading
from asd_agent.inference.explanation import Explanation

EventName = Literal[
    "raised",
    "escalated",
    "realarmed",
    "cleared",
    "acknowledged",
    "shelved",
    "unshelved",
    "suspended",
    "out_of_service",
    "stale",
    "evidence",
]
EVENTS: tuple[EventName, ...] = get_args(EventName)
Verdict = Literal["scored", "invalid", "suspended"]
Phase = Literal["normal", "active", "acknowledged"]
StateName = Literal["normal", "active", "acknowledged", "shelved", "suspended", "out_of_service", "stale"]

SEVERITY_AT_THRESHOLD = 100
SEVERITY_PER_SPREAD = 100
MEDIUM, HIGH = 334, 667
"""Lowest severities of the classes medium and high: thirds of OPC UA's range."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class ScoredWindow(_Value):
    """One judged window."""

    index: int
    """Counts the windows of this run of the source."""
    start: float
    end: float
    """Sample time in seconds."""
    utc_start: float = 0.0
    utc_end: float = 0.0
    """The same on the wall clock, seconds since 1970."""
    verdict: Verdict
    """`invalid` (gap, silence) and `suspended` (the machine stands still) count for and against nothing."""
    suspect: bool = False
    reasons: tuple[str, ...] = ()
    """Why the window is suspect or invalid, such as `clipping` or `gap`."""
    score: float | None = None
    threshold: float | None = None
    clear_level: float | None = None
    spread: float = 1.0
    """Spread of normal scores that severity is counted in; 1 for a standardised score."""
    domain: str | None = None
    """The domain that judged it, where that is chosen window by window."""
    provisional: bool | None = None
    """Whether that domain's threshold rests on too few clips, likewise."""
    experts: dict[str, float] = Field(default_factory=dict)
    explanation: Explanation | None = None

    def sound(self) -> ScoredWindow:
        """The same window, or an invalid one where a score that should count is not a number."""
        experts = {name: value for name, value in self.experts.items() if math.isfinite(value)}
        numbers = (self.score, self.threshold)
        if self.verdict == "scored" and not all(n is not None and math.isfinite(n) for n in numbers):
            reasons = (*self.reasons, "score is not a number")
            lost = {"verdict": "invalid", "score": None, "experts": experts, "reasons": reasons}
            return self.model_copy(update=lost)
        if self.verdict != "scored":
            return self.model_copy(update={"score": None, "experts": experts})
        return self.model_copy(update={"experts": experts}) if len(experts) < len(self.experts) else self

    @property
    def over(self) -> bool:
        """Whether the score exceeds its threshold."""
        return (
            self.verdict == "scored"
            and self.score is not None
            and self.threshold is not None
            and self.score > self.threshold
        )

    @property
    def below_clear(self) -> bool:
        """Whether the score lies below the clear level, which never lies above the threshold."""
        if self.verdict != "scored" or self.score is None or self.threshold is None:
            return False
        level = self.threshold
        if self.clear_level is not None and math.isfinite(self.clear_level):
            level = min(level, self.clear_level)
        return self.score < level


def severity_of(observation: ScoredWindow) -> int:
    """OPC UA severity, 1–1000: 100 at the threshold, 100 more for each spread of normal scores beyond it.

    A difference and no ratio, so that it means the same for any threshold, also one of zero or below.
    """
    if observation.score is None or observation.threshold is None:
        return 1
    spread = observation.spread if math.isfinite(observation.spread) and observation.spread > 0 else 1.0
    beyond = (observation.score - observation.threshold) / spread
    value = SEVERITY_AT_THRESHOLD + SEVERITY_PER_SPREAD * max(-1e3, min(beyond, 1e3))
    return max(1, min(1000, math.floor(value + 0.5)))


def severity_class(severity: int) -> int:
    """0 low, 1 medium, 2 high."""
    return int(severity >= MEDIUM) + int(severity >= HIGH)


class Shelving(_Value):
    """An operator's wish not to hear of an alarm for a while."""

    kind: Literal["timed", "one_shot"]
    until: float
    """Monotonic seconds of the boot named by `boot_id`."""
    boot_id: str
    remaining: float
    """Seconds left when the state was last touched: what is left after a reboot."""

    def touched(self, now: ClockReading) -> Shelving:
        """The same shelving counted on the clock of this boot."""
        if self.boot_id != now.boot_id:
            return self.model_copy(update={"boot_id": now.boot_id, "until": now.monotonic + self.remaining})
        left = max(0.0, min(self.remaining, self.until - now.monotonic))
        return self.model_copy(update={"remaining": left})

    def over(self, now: ClockReading) -> bool:
        """Whether its time is up, once `touched`."""
        return now.monotonic >= self.until


class PendingEvidence(_Value):
    """Evidence that `raised` named and that is not stored yet."""

    alarm_id: str
    evidence_id: str


class RevocableVote(_Value):
    """A window that counted and that the machine may have stopped in, should it be found standing still next."""

    end: float | None
    """Sample time; None where sample time has begun anew since."""
    below: int
    """`AlarmState.below` before it."""


@dataclass(frozen=True)
class EvidenceSummary:
    """The recording that is kept of an alarm.

    Attributes:
        path: Of the clip, relative to the folder of evidence.
        sha256: Of the clip, in hexadecimal.
        bytes: Length of the clip.
    """

    path: str
    sha256: str
    bytes: int


class AlarmState(_Value):
    """Everything that a monitor's alarm remembers; written with the events that it caused, in one transaction."""

    version: Literal[1] = 1
    monitor: str
    """`<agent>/<monitor>`; part of the ids that are made."""
    bundle: str = ""
    """Digest of the bundle whose scores were counted."""
    seq: int = 0
    """Number of the last event."""
    phase: Phase = "normal"
    alarm_id: str | None = None
    announced: bool = False
    """Whether `raised` was said: an alarm that comes while shelved is held back until then."""
    raised_utc: float | None = None
    last_raised_utc: float | None = None
    """When `raised` was last said; unlike `raised_utc` it outlives the alarm."""
    records: bool = False
    """Whether `raised` names the proof that will be kept."""
    awaited: tuple[PendingEvidence, ...] = ()
    """Evidence of this alarm and earlier ones that was named and is neither stored nor abandoned yet."""
    evidence_id: str | None = None
    """The proof that is kept of the standing alarm."""
    votes: tuple[bool, ...] = ()
    """Whether each of the last windows that counted was over its threshold: n, and as many more as are doubtful."""
    below: int = 0
    """Consecutive windows that counted and were below the clear level."""
    doubtful: tuple[RevocableVote, ...] = ()
    """The newest of the windows that counted and share sound with the last of them, itself included."""
    runs_from: float | None = None
    """Sample time from which on a started machine surely runs; infinite until a window after its stop is scored."""
    invalid: int = 0
    """Consecutive invalid windows."""
    unscored: int = 0
    """Consecutive windows that were invalid or suspended."""
    stale: bool = False
    suspended: bool = False
    out_of_service: bool = False
    shelving: Shelving | None = None
    told_class: int = 0
    """Highest severity class said of this alarm."""
    since_told: float = 0.0
    """Sample-time seconds since this alarm was last spoken of."""
    heard: float | None = None
    """Sample time of the newest window's end; None after a start, when sample time begins anew."""
    severity: int = 1
    newest: ScoredWindow | None = None
    touched: float = 0.0
    boot_id: str = ""
    """Monotonic time and boot of the last step."""

    @property
    def state(self) -> StateName:
        """The one word: an operator's wish first, then a standing alarm, then what keeps from judging."""
        if self.out_of_service:
            return "out_of_service"
        if self.shelving is not None:
            return "shelved"
        if self.phase != "normal":
            return self.phase
        if self.stale:
            return "stale"
        return "suspended" if self.suspended else "normal"

    def to_json(self) -> str:
        """One line of JSON that `restore` reads."""
        return self.model_dump_json()


@dataclass(frozen=True)
class Event:
    """Something that people should hear of.

    Attributes:
        id: Unique; a reader drops a second copy by it.
        event: Its name.
        alarm_id: The alarm it belongs to, the same from raised to cleared; None where there is none.
        seq: Counts the monitor's events without a gap.
        state: The monitor's state right after it.
        severity: 1–1000.
        observation: The newest window.
        moment: When it was said.
        evidence_id: Of the recorded proof: in `raised` the one to come, in `evidence` the one that is kept.
        proof: What is kept, for `evidence`.
    """

    id: str
    event: EventName
    alarm_id: str | None
    seq: int
    state: StateName
    severity: int
    observation: ScoredWindow | None
    moment: ClockReading
    evidence_id: str | None = None
    proof: EvidenceSummary | None = None
