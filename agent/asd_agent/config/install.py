"""Section `install_bundle` of agent.yaml: bundles that may be installed by a command over MQTT. Off without it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from asd_agent.config.base import FilePath, Strict, Text


class InstallSettings(Strict):
    """Limits of the command `install_bundle`."""

    url_prefixes: tuple[Text, ...] = Field(min_length=1, max_length=100)
    """Beginnings of the URLs that bundles may come from; each ends with '/'."""
    max_megabytes: float = Field(default=200.0, gt=0, le=10_000)
    """Largest bundle, in 10^6 bytes."""
    trial_windows: int = Field(default=12, ge=0, le=10_000)
    """Windows of each monitor that prove a new bundle; where most exceed the raise level, the former one returns."""
    trial_minutes: float = Field(default=30.0, gt=0, le=10_080)
    """Time within which those windows must be scored, else the former bundle returns."""
    ca: FilePath | None = None
    """Certificate authority of the server, in PEM; by default the system's."""

    @field_validator("url_prefixes")
    @classmethod
    def _are_prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            parts = urlsplit(prefix)
            if parts.scheme not in {"http", "https"} or not parts.hostname or not prefix.endswith("/"):
                raise ValueError(
                    f"{prefix[:60]!r}: write it as 'https://files.example.org/bundles/', with the last '/'"
                )
            if parts.username or parts.query or parts.fragment:
                raise ValueError(f"{prefix[:60]!r}: a prefix holds no user, no '?' and no '#'")
        return value
