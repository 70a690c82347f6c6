"""Values of the alarm: its state and the events that leave it.

The terms follow OPC UA Part 9 (Alarms and Conditions): acknowledged, shelved, out of service, severity 1 to 1000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import Field

from asd_agent.alarm.window import ScoredWindow, StoredValue
from asd_agent.clock import ClockReading

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
    "resumed",
    "verdict",
]
EVENTS: tuple[EventName, ...] = get_args(EventName)
Phase = Literal["normal", "active", "acknowledged"]
StateName = Literal[
    "normal", "active", "acknowledged", "returned", "shelved", "suspended", "out_of_service", "stale"
]  # fmt: skip
AlarmVerdict = Literal["true", "false", "test", "unclear"]
"""A person's judgement of an alarm: a fault, no fault, a test of the chain, or undecided."""

PAST_ALARMS = 50
"""Cleared alarms that a monitor remembers, so that they can be acknowledged and judged; the history has all."""


class Shelving(StoredValue):
    """Suppression of an alarm by an operator, for a time or for one alarm."""

    kind: Literal["timed", "one_shot"]
    until: float
    """Monotonic seconds of the boot named by `boot_id`."""
    boot_id: str
    remaining: float
    """Seconds that were left at the last step; they are what is left after a reboot."""

    def updated(self, now: ClockReading) -> Shelving:
        """Return the shelving as counted by the clock of this boot."""
        if self.boot_id != now.boot_id:
            return self.model_copy(update={"boot_id": now.boot_id, "until": now.monotonic + self.remaining})
        left = max(0.0, min(self.remaining, self.until - now.monotonic))
        return self.model_copy(update={"remaining": left})

    def over(self, now: ClockReading) -> bool:
        """Return whether its time is up; call it on the `updated` shelving."""
        return now.monotonic >= self.until


class PendingEvidence(StoredValue):
    """Evidence that `raised` named and that is not stored yet."""

    alarm_id: str
    evidence_id: str


class PastAlarm(StoredValue):
    """An alarm that has cleared; it is `returned` until a person acknowledges it (ISA-18.2: return to normal)."""

    alarm_id: str
    raised_utc: float
    cleared_utc: float
    severity: int
    """Highest severity of the alarm."""
    acknowledged: bool


class RevocableVote(StoredValue):
    """A counted window that the machine may have stopped in; it is revoked if the machine is found stopped next."""

    end: float | None
    """Sample time; None where sample time has started again since."""
    clear_count: int = Field(alias="below")
    """`AlarmState.clear_count` before the window."""


@dataclass(frozen=True)
class EvidenceSummary:
    """The stored clip of an alarm.

    Attributes:
        path: Path of the clip, relative to the evidence folder.
        sha256: SHA-256 of the clip, in hexadecimal.
        bytes: Length of the clip.
    """

    path: str
    sha256: str
    bytes: int


class AlarmState(StoredValue):
    """All that a monitor's alarm remembers; stored with the events that its change caused, in one transaction."""

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
    """True once there was a `raised`; an alarm that begins while it is suppressed has it later or never."""
    raised_utc: float | None = None
    last_raised_utc: float | None = None
    """Time of the last `raised`; unlike `raised_utc` it outlives the alarm."""
    evidence_enabled: bool = Field(default=False, alias="records")
    """True where `raised` names the evidence that will be stored."""
    pending_evidence: tuple[PendingEvidence, ...] = Field(default=(), alias="awaited")
    """Evidence of this alarm and earlier ones that is neither stored nor abandoned yet."""
    evidence_id: str | None = None
    """Stored evidence of the standing alarm."""
    votes: tuple[bool, ...] = ()
    """One entry for each of the last counted windows, true over its threshold: n, and as many more as are revocable."""
    clear_count: int = Field(default=0, alias="below")
    """Consecutive counted windows that were below the clear level."""
    revocable_votes: tuple[RevocableVote, ...] = Field(default=(), alias="doubtful")
    """The newest of the counted windows that share sound with the last of them, itself included."""
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
    reported_class: int = Field(default=0, alias="told_class")
    """Highest severity class in an event of this alarm."""
    since_report: float = Field(default=0.0, alias="since_told")
    """Sample-time seconds since the last event that asked for attention to this alarm."""
    last_sample_time: float | None = Field(default=None, alias="heard")
    """Sample time of the newest window's end; None after a start, when sample time starts again."""
    severity: int = 1
    highest_severity: int = 1
    """Highest severity of the standing alarm."""
    past: tuple[PastAlarm, ...] = ()
    """Alarms that have cleared, the newest last."""
    newest: ScoredWindow | None = None
    updated_at: float = Field(default=0.0, alias="touched")
    boot_id: str = ""
    """Monotonic time and boot of the last step."""

    @property
    def state(self) -> StateName:
        """The state in one word: an operator's action first, then a standing alarm, then a reason not to judge."""
        if self.out_of_service:
            return "out_of_service"
        if self.shelving is not None:
            return "shelved"
        if self.phase != "normal":
            return self.phase
        if self.stale:
            return "stale"
        if self.suspended:
            return "suspended"
        return "returned" if self.returned else "normal"

    @property
    def returned(self) -> tuple[PastAlarm, ...]:
        """Alarms that have cleared and that nobody has acknowledged, the newest last."""
        return tuple(p for p in self.past if not p.acknowledged)

    def to_json(self) -> str:
        """Return one line of JSON that `restore` reads."""
        return self.model_dump_json(by_alias=True)


@dataclass(frozen=True)
class Event:
    """One event of an alarm.

    Attributes:
        id: Unique; a reader drops a second copy by it.
        event: Name of the event.
        alarm_id: Id of the alarm, the same from raised to cleared; None where there is none.
        seq: Number of the monitor's event; without gaps.
        state: State of the monitor right after the event.
        severity: Severity, 1 to 1000.
        window: The newest window.
        clock: The clocks at the event.
        evidence_id: Id of the evidence: in `raised` of the one to come, in `evidence` of the stored one.
        evidence: The stored clip, in `evidence`.
        monitor: `<agent>/<monitor>`.
        by: Person who acted, for events of operator actions.
        note: The person's note.
        verdict: Judgement of the alarm, in `verdict`.
        label: Cause in a word or two, such as `bearing` or `forklift`, in `verdict`.
    """

    id: str
    event: EventName
    alarm_id: str | None
    seq: int
    state: StateName
    severity: int
    window: ScoredWindow | None
    clock: ClockReading
    evidence_id: str | None = None
    evidence: EvidenceSummary | None = None
    monitor: str = ""
    by: str | None = None
    note: str | None = None
    verdict: AlarmVerdict | None = None
    label: str | None = None
