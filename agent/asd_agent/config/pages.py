"""Sections `metrics` and `web` of agent.yaml: the ports that the agent opens."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from asd_agent.config.base import FilePath, Strict, Text


class MetricsSettings(Strict):
    """Address at which Prometheus reads metrics (extra `metrics`); without this section no port is opened."""

    port: int = Field(default=9108, ge=1, le=65535)
    address: Text = "127.0.0.1"
    """`/metrics` and `/healthz` have no password: another address than the box's own is for a network you trust."""


class WebSettings(Strict):
    """Web page (extra `web`); without this section no port is opened."""

    host: Text = "127.0.0.1"
    """Address to listen on; another than the box's own is refused while there are no users."""
    port: int = Field(default=8480, ge=1, le=65535)
    public_url: str | None = Field(
        default=None, max_length=1000, pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?$"
    )
    """URL of the page as people open it; alerts and Home Assistant then link to it."""
    users: FilePath = Path("/etc/asd-agent/web-users.json")
    """Names, roles and password hashes; `asd-agent web password` writes it."""
    trusted_proxies: tuple[Text, ...] = Field(default=(), max_length=100)
    """Addresses or networks of reverse proxies whose forwarding headers count."""
    certificate: FilePath | None = None
    """Certificate chain in PEM form, for HTTPS without a proxy."""
    key: FilePath | None = None
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
