"""Section `mqtt` of agent.yaml: the broker, TLS and the login."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from asd_agent.config.base import FilePath, Secret, Strict, Text

Wait = Annotated[float, Field(gt=0, le=86_400)]
"""Seconds between two attempts."""


class Tls(Strict):
    """TLS to the broker; without `ca` the authorities of the operating system are trusted."""

    ca: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None

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
    username: Text | None = None
    password: Secret | None = None
    keepalive_seconds: int = Field(default=30, ge=5, le=3600)
    reconnect_seconds: tuple[Wait, Wait] = (1.0, 60.0)
    """Shortest and longest wait between attempts to connect."""
    outbox_rows: int = Field(default=20_000, ge=100, le=1_000_000)
    """Alerts and events that may wait for the broker; beyond, the oldest that raise or clear nothing go first."""
    home_assistant: str | None = Field(default=None, max_length=200, pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    """Home Assistant's discovery prefix, usually `homeassistant`; without it nothing is announced."""

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        """A name or an address alone; schemes, ports and brackets have keys of their own or none."""
        if "://" in value:
            raise ValueError(f"{value[:60]!r} is a URL; give the host alone, with 'port' and 'tls' beside it")
        if value.startswith("[") or value.endswith("]"):
            raise ValueError(f"{value[:60]!r}: write an IPv6 address without brackets")
        if value.count(":") == 1:
            raise ValueError(f"{value[:60]!r} names a port; give it as 'port' beside 'host'")
        if not value or not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", value):
            raise ValueError(f"{value[:60]!r} is no host name and no address")
        return value

    @model_validator(mode="after")
    def _together(self) -> MqttSettings:
        if self.password is not None and self.username is None:
            raise ValueError("'password' needs a 'username'")
        shortest, longest = self.reconnect_seconds
        if shortest > longest:
            raise ValueError(f"'reconnect_seconds' is shortest then longest, not {shortest}, {longest}")
        return self
