"""Payloads of all topics. Field names are a contract with dashboards: they are added, never changed or removed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from asd_agent.alarm.state import AlarmVerdict, EventName, StateName
from asd_agent.alarm.window import Verdict

ClockWord = Literal["synchronised", "unsynchronised", "unknown"]
ONLINE, OFFLINE = "online", "offline"
"""The two payloads of `status`, plain text."""


class Payload(BaseModel):
    """A JSON object on the wire; times are UTC ISO 8601 with milliseconds."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # most kinds are published rarely or never
    )

    def to_json(self) -> str:
        """Return the payload as it is published."""
        return self.model_dump_json(by_alias=True)


class WindowQuality(Payload):
    """Judgement of a window's sound before it is scored."""

    verdict: Verdict
    """`scored`; or `invalid` (gap, silence, no number) and `suspended` (machine stopped), which count for no alarm."""
    suspect: bool
    """Scored, although clipped or far from the usual level."""
    reasons: tuple[str, ...]
    """Reasons why it is invalid or suspect."""


class Explained(Payload):
    """Explanation of a score: frequencies and times that stood out in the window."""

    text: str
    """In words."""
    bands_hz: tuple[tuple[float, float], ...]
    """Frequency bands, lowest and highest in Hz."""
    times_s: tuple[tuple[float, float], ...]
    """Times from the window's start, first and last in seconds."""
    period_s: float | None
    """Period in seconds of an event that repeats in the window; else null."""


class ClipFile(Payload):
    """The recorded clip of an alarm."""

    path: str
    """Relative to the agent's evidence folder, beside the picture and the record."""
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
    """Domain that judged the window."""
    window_start: str | None
    window_end: str | None
    score: float | None
    """Higher is more anomalous; null where the newest window could not be scored."""
    threshold: float | None
    severity: int = Field(ge=1, le=1000)
    """OPC UA severity: 100 at the threshold, 100 more for each spread of normal scores beyond it."""
    experts: dict[str, float]
    explanation: Explained | None
    quality: WindowQuality | None
    bundle: str
    """Digest of the bundle that scored the window."""
    boot_id: str
    clock: ClockWord
    """Synchronisation of the agent's clock with a time server at the event."""
    late: bool
    """Stored for more than ten seconds, or before the present connection, when it was sent."""
    durable: bool
    """False where it was not on disk when it was sent, because the disk refused."""
    provisional: bool
    """The threshold rests on too few clips to be trusted."""
    evidence_id: str | None
    """In `raised` the evidence to come, in `evidence` the stored evidence; null where there is none."""
    evidence: ClipFile | None
    """The stored clip, in `evidence`."""
    time: str
    """Time of the event."""
    agent: str
    monitor: str
    by: str | None
    """Person who acted, in events of operator actions."""
    note: str | None
    verdict: AlarmVerdict | None
    """Judgement of the alarm, in `verdict`."""
    label: str | None
    """Cause of the alarm in a word or two, in `verdict`."""
    test: bool = False
    """True for an alarm that `asd-agent test-alarm` caused."""
    text: str = ""
    """The event in one sentence, with the box's local time; empty for actions of a person."""
    url: str | None = None
    """Page of the alarm; null where `web.public_url` is not set."""


class ReturnedAlarm(Payload):
    """An alarm that has cleared and that nobody has acknowledged."""

    alarm_id: str
    raised_at: str
    cleared_at: str
    severity: int


class MonitorState(Payload):
    """State of a monitor with its newest window, retained on `monitor/<name>/state`."""

    schema_: Literal["asd.monitor/1"] = Field(default="asd.monitor/1", alias="schema")
    state: StateName
    """An operator's action first, then a standing alarm, then a reason why windows cannot be judged."""
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
    quality: WindowQuality | None
    bundle: str
    provisional: bool
    boot_id: str
    clock: ClockWord
    last_raised_at: str | None
    """Time at which an alarm was last raised, also after it has cleared."""
    evidence_id: str | None
    """Stored evidence of the standing alarm; null until it is stored."""
    time: str
    """Time of this state."""
    agent: str
    monitor: str
    reason: str = ""
    """Reason why the monitor cannot judge, in words; empty where it does."""
    returned: tuple[ReturnedAlarm, ...] = ()
    """Alarms that have cleared and wait to be acknowledged, the newest last."""


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
    quality: WindowQuality


class SourceState(Payload):
    """State of a source, retained on `source/<name>/state`."""

    schema_: Literal["asd.source/1"] = Field(default="asd.source/1", alias="schema")
    state: Literal["starting", "healthy", "silent", "stalled", "restarting", "failed", "ended"]
    reason: str
    """Reason of the state, in words; empty when healthy."""
    since: str
    restarts: int
    agent: str = ""
    source: str = ""


class AgentEvent(Payload):
    """A notice of the agent as a whole, on `event`."""

    schema_: Literal["asd.event/1"] = Field(default="asd.event/1", alias="schema")
    id: str
    event: str = Field(pattern=r"^[a-z_]+$")
    """Name: `source_lost`, `source_back`, `drops`, `outbox_reset`, `outbox_damaged`, `outbox_restored`,
    `recording_skipped`, `evidence_lost`, `evidence_back`, `reloaded`, `reload_failed`, `bundle_changed`,
    `notifications_dropped`; more may be added."""
    subject: str
    """The source, monitor or bundle it is about; empty for the agent itself."""
    text: str
    """For people."""
    count: int
    """Number of things, where something is counted; else 1."""
    time: str
    boot_id: str
    clock: ClockWord
    late: bool
    durable: bool
    agent: str = ""


class Command(Payload):
    """An operator's action on a monitor, on `command/<verb>`; never retained."""

    model_config = ConfigDict(strict=True)

    schema_: Literal["asd.command/1"] = Field(alias="schema")
    id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """Made by the sender, new for every command; a second one of the same id does nothing."""
    monitor: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    expires: str = Field(max_length=40)
    """UTC ISO 8601, at most an hour ahead; ignored after this time."""
    by: str = Field(default="", max_length=64)
    """Name of the sender."""
    alarm_id: str | None = Field(default=None, max_length=64)
    """For `acknowledge` and `verdict`: the alarm; without it, the standing one, else those before."""
    minutes: float | None = None
    """For `shelve`."""
    note: str | None = Field(default=None, max_length=500)
    verdict: AlarmVerdict | None = None
    """For `verdict`."""
    label: str | None = Field(default=None, max_length=64)
    """For `verdict`: cause of the alarm in a word or two."""
    one_shot: bool = False
    """For `shelve`: until the standing alarm, or the next one, has cleared."""


InstallStage = Literal["accepted", "refused", "activated", "proved", "returned"]
"""Stages of an installation; `refused`, `proved` and `returned` are the last."""


class InstallBundle(Payload):
    """A bundle to download, check and use, on `command/install_bundle`; never retained."""

    model_config = ConfigDict(strict=True)

    schema_: Literal["asd.install-bundle/1"] = Field(alias="schema")
    id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """Made by the sender, new for every command; a second one of the same id does nothing."""
    url: str = Field(max_length=1000)
    """Place of the bundle, as one `.tar`; below an allowed prefix."""
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    """SHA-256 of that file."""
    expires: str = Field(max_length=40)
    """UTC ISO 8601, at most an hour ahead; ignored after this time."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name by which monitors refer to it; by default the bundle's own."""
    by: str = Field(default="", max_length=64)
    """Name of the sender."""


class CommandAnswer(Payload):
    """Answer to a command, on `command/result`."""

    schema_: Literal["asd.command-result/1"] = Field(default="asd.command-result/1", alias="schema")
    id: str | None
    """Id of the command; null where none could be read."""
    verb: str
    monitor: str | None
    done: bool
    text: str
    """Result, or the reason of a refusal and what to send instead."""
    by: str
    time: str
    stage: InstallStage | None = None
    """Stage of `install_bundle`, which is answered more than once; null for other commands."""
