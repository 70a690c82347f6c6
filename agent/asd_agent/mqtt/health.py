"""Payload of `health`: counts and states of all parts of the agent. As in `payloads`, names are only added."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asd_agent.alarm.state import StateName
from asd_agent.mqtt.payloads import ClockWord, Payload


class SourceHealth(Payload):
    """Counts and levels of one source since the start."""

    state: str
    frames: int
    """The same as `samples`, under its first name."""
    gaps: int
    level_dbfs: float | None
    samples_lost: int
    """Samples of each channel that were not delivered: the length of the gaps."""
    overflows: int
    """Times that the device lost sound because it was not read in time."""
    drops: int
    """Times that the capture process lost sound because the agent did not read it in time."""
    restarts: int
    wall_steps: int
    """Steps of the wall clock that the times of samples followed."""
    drift_ppm: float
    """Excess of a sample's duration over the nominal one by the monotonic clock; 0 during the first minute."""
    skipped: int = 0
    """Recordings that could not be read and were skipped."""
    opened_rate: int | None = None
    """Rate in Hz that the source was opened with; null before the first time."""
    opened_channels: int | None = None
    """Number of channels that it was opened with."""
    resampler: str | None = None
    """Part that converts to 16 kHz: `none`, `soxr` or `sound server`."""
    samples: int = 0
    """Samples of each channel that were delivered."""


class WindowCounts(Payload):
    """Counts of windows since the start: due = scored + skipped + invalid + suspended."""

    due: int
    scored: int
    skipped: int
    suspect: int
    invalid: int
    suspended: int


class OutboxHealth(Payload):
    """State of the outbox."""

    depth: int
    oldest_seconds: float
    dropped: int
    """Messages dropped since the outbox was created."""
    durable: bool
    """False while the disk refuses and alerts are kept in memory."""
    damaged: int = 0
    """Rows and states that failed their checksum since the start."""


class DeliveryHealth(Payload):
    """Counts of publications since the start."""

    connected: bool
    connects: int
    """Times that a broker accepted a connection."""
    sent: int
    """Alerts and events that the broker acknowledged."""
    late: int
    """Those of them that were sent as late."""
    refused: int
    """Times that the broker refused a publication."""
    scores_dropped: int
    """Scores not published: there was no connection, or it was too slow."""


class EvidenceHealth(Payload):
    """State of the stored evidence."""

    kept: int
    bytes: int
    lost: int
    """Evidence lost since the start."""


class HistoryHealth(Payload):
    """State of the history."""

    bytes: int
    waiting: int
    """Windows and events that are not stored yet."""
    lost: int
    """Those lost since the start."""


class NotifyHealth(Payload):
    """State of one target of notifications since the start."""

    waiting: int
    sent: int
    late: int
    """Messages that were sent as late."""
    failed: int
    """Attempts that failed."""
    dropped: int
    """Messages dropped because too many waited."""
    fault: str
    """Reason why nothing arrives; empty while it does."""
    last_test: str | None
    """Alarm id of the last test alarm that it accepted."""


class MonitorHealth(Payload):
    """State of one monitor in numbers, for time series."""

    state: StateName
    score: float | None
    threshold: float | None
    severity: int
    alarms_raised: int
    """Alarms raised since the start."""
    scoring_seconds: float | None
    """Time that its newest window took to score."""


class LastTest(Payload):
    """The last test alarm that a broker acknowledged."""

    time: str
    monitor: str
    alarm_id: str
    seconds: float
    """Seconds from the request to the acknowledgement."""


class BundleInUse(Payload):
    """Bundle that a monitor uses."""

    name: str
    digest: str
    trial: bool = False
    """True while its first windows prove it, after `install_bundle`."""
    returned: str | None = None
    """First digits of the digest of the last bundle that `install_bundle` put in its place and that was not proved.
    Null where there was none since the start, or one after it was proved."""
    reason: str = ""
    """Reason why the former bundle returned."""


class Inventory(Payload):
    """Things that are installed on the box, for lists of many boxes."""

    machine: str
    """First digits of a hash of the box's own id: two boxes of one name differ in it; empty where it has none."""
    model: str
    """Model of the box, or its processor architecture."""
    configuration: str
    """SHA-256 of agent.yaml as it is in use; empty where it came from no file."""
    bundles: dict[str, BundleInUse]
    """By monitor; those that cannot be judged are left out."""
    installs_bundles: bool
    """True where the command `install_bundle` is allowed."""


class Health(Payload):
    """Health report of the agent, retained on `health`."""

    schema_: Literal["asd.health/1"] = Field(default="asd.health/1", alias="schema")
    time: str
    uptime_seconds: float
    versions: dict[str, str]
    providers: dict[str, str]
    """Execution provider in use, by bundle; `numpy` for a bundle without a network."""
    sources: dict[str, SourceHealth]
    windows: WindowCounts
    """Sum over all monitors, removed ones included."""
    monitors: dict[str, WindowCounts]
    outbox: OutboxHealth
    disk_free_bytes: int
    temperature_celsius: float | None
    boot_id: str
    clock: ClockWord
    faults: dict[str, str]
    """Present faults in words, by part."""
    evidence: EvidenceHealth
    delivery: DeliveryHealth
    agent: str = ""
    history: HistoryHealth | None = None
    """Null where no history is kept."""
    last_test: LastTest | None = None
    """Last test of the chain from a window to the broker; null where there was none."""
    monitor_states: dict[str, MonitorHealth] = Field(default_factory=dict)
    drift: dict[str, str] = Field(default_factory=dict)
    """Slow trends of normal scores in words, by monitor."""
    levels: dict[str, str] = Field(default_factory=dict)
    """Notes on raise levels in words, by monitor: sound unlike the training, or more alarms than were promised."""
    notify: dict[str, NotifyHealth] = Field(default_factory=dict)
    """Targets of notifications, by name."""
    inventory: Inventory | None = None
