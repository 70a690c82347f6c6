"""Preflight: checks that a valid configuration can work, before anything starts and without changing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from asd_agent.bundle import Bundle
from asd_agent.config.finding import Finding
from asd_agent.config.model import Config
from asd_agent.config.preflight.alarms import preflight_monitors
from asd_agent.config.preflight.bundles import preflight_bundles
from asd_agent.config.preflight.files import preflight_files

__all__ = ["preflight", "preflight_settings"]


def preflight(config: Config, utc: float | None = None) -> list[Finding]:
    """Check everything: files, bundles with their golden windows, monitors.

    Args:
        config: The configuration.
        utc: Time in seconds since 1970 by which certificates are judged; by default now.
    """
    bundles, found = preflight_bundles(config)
    return [*preflight_settings(config, bundles, utc), *found]


def preflight_settings(config: Config, bundles: Mapping[Path, Bundle], utc: float | None = None) -> list[Finding]:
    """Check the same without opening bundles.

    Args:
        config: The configuration.
        bundles: Bundles that could be opened, by their paths.
        utc: As for `preflight`.
    """
    return [*preflight_files(config, time.time() if utc is None else utc), *preflight_monitors(config, bundles)]
