"""What is said on each topic. Field names are a contract with people's dashboards: they are added to, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from asd_agent.alarm.values import AlarmState, Event, EventName, Moment, Observation, StateName, Verdict, severity_of
from asd_agent.clock import iso_utc

ClockWord = Literal["synchronised", "unsynchronised", "unknown"]
ONLINE, OFFLINE = "online", "offline"
"""The two payloads of `status`, plain text."""


class Payload(BaseModel):
    """A JSON object on the wire; times are UTC ISO 8601 with milliseconds."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,
    )

    def to_json(self) -> str:
        """The payload as it goes out."""
        return self.model_dump_json(by_alias=True)


class Quality(Payload):
    """Whether the window could be judged."""

    verdict: Verdict
    """`invalid` (gap, silence, no number) and `suspended` (the machine stands still) count for and against nothing."""
    suspect: bool
    """Scored, yet clipped or far from the usual level."""
    reasons: tuple[str, ...]
    """Why it is invalid or suspect."""


class Explained(Payload):
    """What stood out in the window."""

    text: str
    """In words."""
    bands_hz: tuple[tuple[float, float], ...]
    """Frequency bands, lowest and highest in Hz."""
    times_s: tuple[tuple[float, float], ...]
    """Times from the window's start, first and last in seconds."""


class Alert(Payload):
    """One event of a monitor's alarm, on `monitor/<name>/alert`."""

    schema_: Literal["asd.alert/1"] = Field(default="asd.alert/1", alias="schema")
    id: str
    """Unique; drop a second copy by it."""
    alarm_id: str | None
    """The same from `raised` to `cleared`."""
    seq: int
    """Counts this monitor's events; a gap means that one was lost."""
    event: EventName
    state: StateName
    """State of the monitor right after the event."""
    machine: str
    section: str
    domain: str
    """The condition that judged the window."""
    window_start: str | None
    window_end: str | None
    score: float | None
    """Higher is more anomalous; null where the newest window could not be scored."""
    threshold: float | None
    severity: int = Field(ge=1, le=1000)
    """OPC UA severity: 100 at the threshold, 100 more for each spread of normal scores beyond it."""
    experts: dict[str, float]
    explanation: Explained | None
    quality: Quality | None
    bundle: str
    """Digest of the bundle that scored."""
    boot_id: str
    clock: ClockWord
    """Whether the agent's clock followed a time server at the event."""
    late: bool
    """Stored for more than ten seconds, or since before the present connection, when it was sent."""
    durable: bool
    """Whether it lay on disk when it was sent; false means the disk refused."""
    provisional: bool
    """The threshold rests on too few clips to be trusted."""
    evidence_id: str | None


class MonitorState(Payload):
    """State of a monitor with its newest window, retained on `monitor/<name>/state`."""

    schema_: Literal["asd.monitor/1"] = Field(default="asd.monitor/1", alias="schema")
    state: StateName
    """One word: an operator's wish first, then a standing alarm, then what keeps from judging."""
    alarm: Literal["normal", "active", "acknowledged"]
    alarm_id: str | None
    raised_at: str | None
    stale: bool
    suspended: bool
    out_of_service: bool
    shelved_until: str | None
    seq: int
    """Number of the newest event on `alert`."""
    machine: str
    section: str
    domain: str
    window_start: str | None
    window_end: str | None
    score: float | None
    threshold: float | None
    clear_level: float | None
    severity: int
    experts: dict[str, float]
    quality: Quality | None
    bundle: str
    provisional: bool
    boot_id: str
    clock: ClockWord


class Score(Payload):
    """One window, on `monitor/<name>/score`."""

    schema_: Literal["asd.score/1"] = Field(default="asd.score/1", alias="schema")
    window_start: str
    window_end: str
    score: float | None
    threshold: float | None
    clear_level: float | None
    severity: int
    domain: str
    experts: dict[str, float]
    quality: Quality


class SourceState(Payload):
    """State of a source, retained on `source/<name>/state`."""

    schema_: Literal["asd.source/1"] = Field(default="asd.source/1", alias="schema")
    state: Literal["starting", "healthy", "silent", "stalled", "restarting", "failed", "ended"]
    reason: str
    """Why, in words; empty when healthy."""
    since: str
    restarts: int


class AgentEvent(Payload):
    """What concerns the agent as a whole, on `event`."""

    schema_: Literal["asd.event/1"] = Field(default="asd.event/1", alias="schema")
    id: str
    event: str = Field(pattern=r"^[a-z_]+$")
    """Such as `source_lost`, `source_back`, `drops`, `bundle_changed`, `outbox_reset`."""
    subject: str
    """The source, monitor or bundle it is about; empty for the agent itself."""
    text: str
    """For people."""
    count: int
    """How many, where something is counted; else 1."""
    time: str
    boot_id: str
    clock: ClockWord
    late: bool
    durable: bool


class SourceHealth(Payload):
    """What one source delivered since the start."""

    state: str
    frames: int
    gaps: int
    level_dbfs: float | None


class WindowCounts(Payload):
    """What became of the windows since the start."""

    scored: int
    skipped: int
    suspect: int
    invalid: int
    suspended: int


class OutboxHealth(Payload):
    """What waits to be sent."""

    depth: int
    oldest_seconds: float
    dropped: int
    """Since the outbox was made."""
    durable: bool
    """False while the disk refuses and alerts are kept in memory."""


class Health(Payload):
    """How the agent fares, retained on `health`."""

    schema_: Literal["asd.health/1"] = Field(default="asd.health/1", alias="schema")
    time: str
    uptime_seconds: float
    versions: dict[str, str]
    providers: dict[str, str]
    """Execution provider in use, by bundle."""
    sources: dict[str, SourceHealth]
    windows: WindowCounts
    outbox: OutboxHealth
    disk_free_bytes: int
    temperature_celsius: float | None
    boot_id: str
    clock: ClockWord
    faults: dict[str, str]
    """What is wrong now, in words, by part."""


class Command(Payload):
    """What a person asks of a monitor, on `command/<verb>`; never retained."""

    model_config = ConfigDict(strict=True)

    schema_: Literal["asd.command/1"] = Field(alias="schema")
    id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """Made by the sender, new for every command; a second one of the same id does nothing."""
    monitor: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    expires: str = Field(max_length=40)
    """UTC ISO 8601; not heard after this, at most an hour ahead."""
    by: str = Field(default="", max_length=64)
    """Who asks."""
    alarm_id: str | None = Field(default=None, max_length=64)
    """For `acknowledge`: the alarm that is meant; without it, the one that stands."""
    minutes: float | None = None
    """For `shelve`."""
    one_shot: bool = False
    """For `shelve`: until the alarm that stands, or the next one, is over."""


class CommandAnswer(Payload):
    """What became of a command, on `command/result`."""

    schema_: Literal["asd.command-result/1"] = Field(default="asd.command-result/1", alias="schema")
    id: str | None
    """Of the command; null where none could be read."""
    verb: str
    monitor: str | None
    done: bool
    text: str
    """What happened, or why not and what would be right."""
    by: str
    time: str


@dataclass(frozen=True)
class Identity:
    """Whose events these are.

    Attributes:
        machine: Machine type, such as `fan`.
        section: Its two digits.
        domain: As configured; a window that names its own domain goes before.
        bundle: Digest of the bundle.
        provisional: Whether the threshold rests on too few clips.
    """

    machine: str
    section: str
    domain: str
    bundle: str
    provisional: bool = False


def clock_word(synchronised: bool | None) -> ClockWord:
    """How `clock` is said."""
    if synchronised is None:
        return "unknown"
    return "synchronised" if synchronised else "unsynchronised"


def alert_of(event: Event, identity: Identity) -> Alert:
    """The alert that tells an event; `late` and `durable` are set anew when it is sent."""
    window = event.observation
    return Alert(
        id=event.id,
        alarm_id=event.alarm_id,
        seq=event.seq,
        event=event.event,
        state=event.state,
        machine=identity.machine,
        section=identity.section,
        domain=_domain(window, identity),
        window_start=iso_utc(window.utc_start) if window else None,
        window_end=iso_utc(window.utc_end) if window else None,
        score=window.score if window else None,
        threshold=window.threshold if window else None,
        severity=event.severity,
        experts=window.experts if window else {},
        explanation=_explained(window),
        quality=_quality(window) if window else None,
        bundle=identity.bundle,
        boot_id=event.moment.boot_id,
        clock=clock_word(event.moment.synchronised),
        late=False,
        durable=True,
        provisional=_provisional(window, identity),
        evidence_id=event.evidence_id,
    )


def monitor_state_of(state: AlarmState, identity: Identity, now: Moment) -> MonitorState:
    """The retained state of a monitor."""
    window = state.newest
    shelving = state.shelving.touched(now) if state.shelving else None
    return MonitorState(
        state=state.state,
        alarm=state.phase if state.announced else "normal",
        alarm_id=state.alarm_id if state.announced else None,
        raised_at=iso_utc(state.raised_utc) if state.announced and state.raised_utc is not None else None,
        stale=state.stale,
        suspended=state.suspended,
        out_of_service=state.out_of_service,
        shelved_until=iso_utc(now.utc + shelving.remaining) if shelving else None,
        seq=state.seq,
        machine=identity.machine,
        section=identity.section,
        domain=_domain(window, identity),
        window_start=iso_utc(window.utc_start) if window else None,
        window_end=iso_utc(window.utc_end) if window else None,
        score=window.score if window else None,
        threshold=window.threshold if window else None,
        clear_level=window.clear_level if window else None,
        severity=state.severity,
        experts=window.experts if window else {},
        quality=_quality(window) if window else None,
        bundle=identity.bundle,
        provisional=_provisional(window, identity),
        boot_id=now.boot_id,
        clock=clock_word(now.synchronised),
    )


def score_of(window: Observation, identity: Identity) -> Score:
    """What is said of every window."""
    return Score(
        window_start=iso_utc(window.utc_start),
        window_end=iso_utc(window.utc_end),
        score=window.score,
        threshold=window.threshold,
        clear_level=window.clear_level,
        severity=severity_of(window),
        domain=_domain(window, identity),
        experts=window.experts,
        quality=_quality(window),
    )


def _domain(window: Observation | None, identity: Identity) -> str:
    return window.domain if window and window.domain else identity.domain


def _provisional(window: Observation | None, identity: Identity) -> bool:
    return identity.provisional if window is None or window.provisional is None else window.provisional


def _quality(window: Observation) -> Quality:
    return Quality(verdict=window.verdict, suspect=window.suspect, reasons=window.reasons)


def _explained(window: Observation | None) -> Explained | None:
    if window is None or window.explanation is None:
        return None
    said = window.explanation
    return Explained(text=said.text, bands_hz=said.bands_hz, times_s=said.times_s)
