"""Settings of agent.yaml: one file, validated as a whole before anything starts.

Unknown keys are refused with their line and the nearest valid name; secrets are referred to, never written in it.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from asd_agent.config.base import Name, Secret, Strict
from asd_agent.config.install import InstallSettings
from asd_agent.config.notify import NotifySettings
from asd_agent.config.sources import SourceSettings


class AgentSettings(Strict):
    """Name of this agent on the wire: topics start with `asd/<name>`."""

    name: Name


class Tls(Strict):
    """TLS to the broker; without `ca` the authorities of the operating system are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' go together")
        return self


class MqttSettings(Strict):
    """MQTT broker."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65535)
    protocol: Literal["5", "3.1.1"] = "5"
    tls: Tls | None = None
    username: str | None = None
    password: Secret | None = None
    keepalive_seconds: int = Field(default=30, ge=5, le=3600)
    reconnect_seconds: tuple[float, float] = (1.0, 60.0)
    """Shortest and longest wait between attempts to connect."""
    outbox_rows: int = Field(default=20_000, ge=100, le=1_000_000)
    """Alerts and events that may wait for the broker; beyond, the oldest that raise or clear nothing go first."""
    home_assistant: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    """Home Assistant's discovery prefix, usually `homeassistant`; without it nothing is announced."""

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        """A name or an address alone; schemes, ports and brackets have keys of their own or none."""
        if "://" in value:
            raise ValueError(f"{value!r} is a URL; give the host alone, with 'port' and 'tls' beside it")
        if value.startswith("[") or value.endswith("]"):
            raise ValueError(f"{value!r}: write an IPv6 address without brackets")
        if value.count(":") == 1:
            raise ValueError(f"{value!r} names a port; give it as 'port' beside 'host'")
        if not value or not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", value):
            raise ValueError(f"{value[:60]!r} is no host name and no address")
        return value

    @model_validator(mode="after")
    def _together(self) -> MqttSettings:
        if self.password is not None and self.username is None:
            raise ValueError("'password' needs a 'username'")
        shortest, longest = self.reconnect_seconds
        if not 0 < shortest <= longest:
            raise ValueError(f"'reconnect_seconds' is shortest then longest, both above 0, not {shortest}, {longest}")
        return self


class RaiseAfter(Strict):
    """k windows over the raise level among the last n raise the alarm; written `3 of 4`."""

    k: int = Field(ge=1)
    n: int = Field(ge=1, le=1000)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^\s*\d+\s+of\s+\d+\s*$", "examples": ["3 of 4"]}
        return {"anyOf": [text, handler.resolve_ref_schema(handler(core))]}

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, str):
            match = re.fullmatch(r"\s*(\d+)\s+of\s+(\d+)\s*", value)
            if not match:
                raise ValueError(f"{value!r} is not of the form '3 of 4'")
            return {"k": int(match[1]), "n": int(match[2])}
        return value

    @model_validator(mode="after")
    def _possible(self) -> RaiseAfter:
        if self.k > self.n:
            raise ValueError(f"{self.k} of {self.n} can never happen: the first number is at most the second")
        return self


class AlarmSettings(Strict):
    """Rules by which scores raise and clear an alarm."""

    raise_after: RaiseAfter = RaiseAfter(k=3, n=4)
    clear_after: int = Field(default=4, ge=1, le=1000)
    """Consecutive windows below the clear level that end the alarm."""
    alarms_per_day: float | None = Field(default=None, gt=0, le=10_000)
    """Wanted false alarms a day, for `asd-agent calibrate`; by default one, or the fewest that the sound supports."""
    realarm_minutes: float | None = Field(default=None, gt=0)
    """Minutes after which an unacknowledged alarm is repeated; by default never."""
    stale_after: int = Field(default=12, ge=1, le=100_000)
    """Consecutive invalid windows after which the monitor is stale."""
    max_shelve_minutes: float = Field(default=480.0, gt=0)
    report_suspensions: bool = False
    """Publish an alert each time that the machine stops; the state shows it either way."""


class LevelGate(Strict):
    """The machine runs while its sound is louder than this."""

    level_above_dbfs: float = Field(le=0)


class TopicGate(Strict):
    """The machine runs while this topic's last message equals this text."""

    topic: str = Field(min_length=1, max_length=1000)
    equals: str

    @field_validator("topic")
    @classmethod
    def _is_filter(cls, value: str) -> str:
        """An MQTT topic filter (MQTT 5, section 4.7); anything else would end every connection."""
        levels = value.split("/")
        if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
            raise ValueError(f"{value!r}: '#' is a level of its own and the last one")
        if any("+" in level and level != "+" for level in levels):
            raise ValueError(f"{value!r}: '+' is a level of its own")
        if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise ValueError(f"{value!r} holds a character that no topic may hold")
        return value


class MonitorSettings(Strict):
    """Machine, section and domain that is monitored through one channel of one source."""

    source: Name
    channel: int = Field(default=0, ge=0)
    bundle: str
    section: str = Field(default="00", pattern=r"^\d{2}$")
    domain: Literal["source", "target", "site", "auto"] = "source"
    hop_seconds: float = Field(default=5.0, gt=0, le=3600)
    alarm: AlarmSettings = AlarmSettings()
    active_when: LevelGate | TopicGate | None = None


class EvidenceSettings(Strict):
    """Recordings of alarms, and the limits to keep them within."""

    enabled: bool = True
    pre_seconds: float = Field(default=20.0, ge=0, le=120)
    """Sound before the window that raised the alarm."""
    post_seconds: float = Field(default=10.0, ge=0, le=120)
    """Sound after it."""
    keep_days: float = Field(default=90.0, gt=0, le=36_500)
    """Days that the agent ran; older evidence is removed."""
    max_megabytes: float = Field(default=500.0, gt=0)
    """Size of all evidence together, in 10^6 bytes."""
    free_megabytes: float = Field(default=200.0, ge=0)
    """Space of the disk that stays free, in 10^6 bytes."""


class HistorySettings(Strict):
    """Scores, levels and alarms over time, and how much of them is kept."""

    enabled: bool = True
    window_days: float = Field(default=14.0, gt=0, le=3660)
    """Days that single windows are kept; a replay needs them."""
    minute_days: float = Field(default=730.0, gt=0, le=36_500)
    """Days that the statistics of minutes, and alarms with their actions, are kept."""
    drift: bool = True
    """Report slow trends of normal scores over weeks."""
    max_megabytes: float = Field(default=500.0, ge=1, le=1_000_000)
    """Size of the history in 10^6 bytes; the oldest windows go first, then the oldest minutes."""


class MetricsSettings(Strict):
    """Address at which Prometheus reads metrics (extra `metrics`); without this section no port is opened."""

    port: int = Field(default=9108, ge=1, le=65535)
    address: str = "127.0.0.1"
    """`/metrics` and `/healthz` have no password: another address than the box's own is for a network you trust."""


class WebSettings(Strict):
    """Web page (extra `web`); without this section no port is opened."""

    host: str = "127.0.0.1"
    """Address to listen on; another than the box's own is refused while there are no users."""
    port: int = Field(default=8480, ge=1, le=65535)
    public_url: str | None = Field(default=None, pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?$")
    """URL of the page as people open it; alerts and Home Assistant then link to it."""
    users: Path = Path("/etc/asd-agent/web-users.json")
    """Names, roles and password hashes; `asd-agent web password` writes it."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies whose forwarding headers count."""
    certificate: Path | None = None
    """Certificate chain in PEM form, for HTTPS without a proxy."""
    key: Path | None = None
    language: Literal["en", "de"] = "en"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise ValueError(f"{text[:60]!r} is no address and no network such as 10.0.0.0/24") from error
        return value

    @model_validator(mode="after")
    def _pair(self) -> WebSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' go together")
        return self


class Paths(Strict):
    """Folders of everything that must survive a restart."""

    state: Path = Path("/var/lib/asd-agent")
    bundles: Path = Path("/var/lib/asd-agent/bundles")


Verb = Literal["acknowledge", "shelve", "unshelve", "verdict"]


def _wrong(monitor: str, key: str, text: str, remedy: str) -> InitErrorDetails:
    kind = PydanticCustomError("reference", "{text}", {"text": text, "remedy": remedy})
    return InitErrorDetails(type=kind, loc=("monitors", monitor, key), input=None)


def _dangling(data: Any) -> list[InitErrorDetails]:
    """Return an error for each monitor of a source that is not there, from data that is not validated yet."""
    whole = data if isinstance(data, dict) else {}
    sources, monitors = whole.get("sources"), whole.get("monitors")
    if not isinstance(sources, dict) or not isinstance(monitors, dict):
        return []
    known = ", ".join(sorted(map(str, sources)))
    meant = {n: m["source"] for n, m in monitors.items() if isinstance(m, dict) and isinstance(m.get("source"), str)}
    return [
        _wrong(str(name), "source", f"there is no source {source!r}", f"There is: {known}.")
        for name, source in meant.items()
        if source not in sources
    ]


class Config(Strict):
    """All settings of agent.yaml."""

    agent: AgentSettings
    mqtt: MqttSettings = MqttSettings()
    sources: dict[Name, SourceSettings] = Field(min_length=1)
    monitors: dict[Name, MonitorSettings] = Field(min_length=1)
    paths: Paths = Paths()
    evidence: EvidenceSettings = EvidenceSettings()
    history: HistorySettings = HistorySettings()
    metrics: MetricsSettings | None = None
    web: WebSettings | None = None
    notify: dict[Name, NotifySettings] = Field(default_factory=dict, max_length=16)
    install_bundle: InstallSettings | None = None
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    commands: tuple[Verb, ...] = ()

    @model_validator(mode="after")
    def _refer(self) -> Config:
        wrong: list[InitErrorDetails] = []
        for name, monitor in self.monitors.items():
            source = self.sources.get(monitor.source)
            if source is None:
                known = ", ".join(sorted(self.sources))
                wrong.append(_wrong(name, "source", f"there is no source {monitor.source!r}", f"There is: {known}."))
            elif monitor.channel not in source.channels:
                text = f"source {monitor.source!r} does not send channel {monitor.channel}"
                wrong.append(_wrong(name, "channel", text, f"It sends {list(source.channels)}; see its 'channels'."))
        if wrong:
            raise ValidationError.from_exception_data("Config", wrong)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _refer_too(cls, data: Any, handler: ModelWrapValidatorHandler[Config]) -> Config:
        """Report monitors whose source is not there, whatever other mistakes there are."""
        try:
            return handler(data)
        except ValidationError as error:
            found = error.errors()
            if any(e["type"] == "reference" for e in found):
                raise
            kept = [
                InitErrorDetails(type=e["type"], loc=e["loc"], input=e["input"], ctx=e.get("ctx", {})) for e in found
            ]
            raise ValidationError.from_exception_data("Config", [*kept, *_dangling(data)]) from error

    def bundle_path(self, name: str) -> Path:
        """Return the folder of a bundle named in a monitor: below `paths.bundles`, or a path of its own."""
        path = Path(name)
        return path if path.is_absolute() else self.paths.bundles / path
