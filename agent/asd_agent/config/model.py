"""Settings of agent.yaml: one file, validated as a whole before anything starts.

Unknown keys are refused with their line and the nearest valid name; secrets are referred to, never written in it. Every
number, text and list has bounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from asd_agent.config.base import Name, Strict, Text
from asd_agent.config.install import InstallSettings
from asd_agent.config.monitors import AlarmSettings, LevelGate, MonitorSettings, RaiseAfter, TopicGate
from asd_agent.config.mqtt import MqttSettings, Tls
from asd_agent.config.notify import NotifySettings
from asd_agent.config.pages import MetricsSettings, WebSettings
from asd_agent.config.sources import SourceSettings
from asd_agent.config.stores import EvidenceSettings, HistorySettings, Paths

__all__ = [
    "AgentSettings",
    "AlarmSettings",
    "Config",
    "EvidenceSettings",
    "HistorySettings",
    "LevelGate",
    "MetricsSettings",
    "MonitorSettings",
    "MqttSettings",
    "Paths",
    "RaiseAfter",
    "Tls",
    "TopicGate",
    "WebSettings",
]


class AgentSettings(Strict):
    """Name of this agent on the wire: topics start with `asd/<name>`."""

    name: Name


MOST_ERRORS = 100
"""Errors that are looked at; a damaged file may have thousands."""
Verb = Literal["acknowledge", "shelve", "unshelve", "verdict"]


def _wrong(monitor: str, key: str, text: str, remedy: str) -> InitErrorDetails:
    kind = PydanticCustomError("reference", "{text}", {"text": text, "remedy": remedy})
    return InitErrorDetails(type=kind, loc=("monitors", monitor, key), input=None)


def _empty(key: str) -> InitErrorDetails:
    remedy = f"Add one below `{key}`, or a section `web` to add machines on the page."
    context = {"text": f"there is no {key.removesuffix('s')}", "remedy": remedy}
    return InitErrorDetails(type=PydanticCustomError("reference", "{text}", context), loc=(key,), input=None)


def _kept(error: ErrorDetails) -> InitErrorDetails:
    # Not by its type alone: pydantic has types of errors, such as `path_type`, that its core does not know.
    kind = PydanticCustomError(error["type"], "{text}", {**error.get("ctx", {}), "text": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"])


def _dangling(data: Any) -> list[InitErrorDetails]:
    """Return an error for each monitor of a source that is not there, from data that is not validated yet."""
    whole = data if isinstance(data, dict) else {}
    sources, monitors = whole.get("sources"), whole.get("monitors")
    if not isinstance(sources, dict) or not isinstance(monitors, dict):
        return []
    known = ", ".join(sorted(map(str, sources)))[:200]
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
    sources: dict[Name, SourceSettings] = Field(default_factory=dict, max_length=1000)
    monitors: dict[Name, MonitorSettings] = Field(default_factory=dict, max_length=1000)
    paths: Paths = Paths()
    evidence: EvidenceSettings = EvidenceSettings()
    history: HistorySettings = HistorySettings()
    metrics: MetricsSettings | None = None
    web: WebSettings | None = None
    notify: dict[Name, NotifySettings] = Field(default_factory=dict, max_length=16)
    install_bundle: InstallSettings | None = None
    providers: tuple[Text, ...] = Field(default=("CPUExecutionProvider",), max_length=20)
    commands: tuple[Verb, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def _refer(self) -> Config:
        wrong: list[InitErrorDetails] = []
        if self.web is None:  # with it, the page adds the first machine
            wrong += [_empty(key) for key in ("sources", "monitors") if not getattr(self, key)]
        for name, monitor in self.monitors.items():
            source = self.sources.get(monitor.source)
            if source is None:
                known = ", ".join(sorted(self.sources))[:200]
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
            found = error.errors(include_url=False)[:MOST_ERRORS]
            if any(e["type"] == "reference" for e in found):
                raise
            raise ValidationError.from_exception_data("Config", [*map(_kept, found), *_dangling(data)]) from error

    def bundle_path(self, name: str) -> Path:
        """Return the folder of a bundle named in a monitor: below `paths.bundles`, or a path of its own."""
        path = Path(name)
        return path if path.is_absolute() else self.paths.bundles / path
