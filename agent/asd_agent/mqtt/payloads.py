"""What is said on each topic. Field names are a contract with people's dashboards: they are added to, never changed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from asd_agent.alarm.state import EventName, StateName, Verdict

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
    period_s: float | None
    """Seconds from one time to the next, where what stood out comes again and again; else null."""


class ClipFile(Payload):
    """The clip that proves an alarm."""

    path: str
    """Relative to the agent's folder of evidence; the picture and the account lie beside it."""
    sha256: str
    bytes: int


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
    """In `raised` the proof to come, in `evidence` the proof that is kept; null where none is."""
    evidence: ClipFile | None
    """What is kept, in `evidence`."""


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
    last_raised_at: str | None
    """When an alarm was last raised, also after it is over."""
    evidence_id: str | None
    """The proof that is kept of the standing alarm; null until it is."""


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
    """Such as `source_lost`, `source_back`, `drops`, `outbox_reset`, `evidence_lost`, `evidence_back`, `reloaded`,
    `reload_failed`, `bundle_changed`."""
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
    samples_lost: int
    """Not heard, of each channel: the length of the gaps."""
    overflows: int
    """Times that the device lost sound because it was not fetched."""
    drops: int
    """Times that the capture process lost sound because the agent did not fetch it."""
    restarts: int
    wall_steps: int
    """Steps of the wall clock that the times of samples followed."""
    drift_ppm: float
    """How much longer than nominal a sample lasts by the monotonic clock; 0 until a minute has been heard."""


class WindowCounts(Payload):
    """What became of the windows since the start: due = scored + skipped + invalid + suspended."""

    due: int
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


class DeliveryHealth(Payload):
    """What became of publications since the start."""

    connected: bool
    connects: int
    """Times that a broker accepted a connection."""
    sent: int
    """Alerts and events that the broker took."""
    late: int
    """Of these, those that had waited."""
    refused: int
    """Times that the broker refused a publication."""
    scores_dropped: int
    """Windows' scores that nobody could hear: there was no connection, or it was too slow."""


class EvidenceHealth(Payload):
    """The recordings that prove alarms."""

    kept: int
    bytes: int
    lost: int
    """Since the start."""


class Health(Payload):
    """How the agent fares, retained on `health`."""

    schema_: Literal["asd.health/1"] = Field(default="asd.health/1", alias="schema")
    time: str
    uptime_seconds: float
    versions: dict[str, str]
    providers: dict[str, str]
    """Execution provider really in use, by bundle; `numpy` for a bundle without a network."""
    sources: dict[str, SourceHealth]
    windows: WindowCounts
    """Of all monitors, those that are no more among them."""
    monitors: dict[str, WindowCounts]
    outbox: OutboxHealth
    disk_free_bytes: int
    temperature_celsius: float | None
    boot_id: str
    clock: ClockWord
    faults: dict[str, str]
    """What is wrong now, in words, by part."""
    evidence: EvidenceHealth
    delivery: DeliveryHealth


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
