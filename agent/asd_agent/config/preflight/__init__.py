"""What a valid configuration refers to and whether it can work, before anything starts; asking changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from asd_agent.bundle import Bundle
from asd_agent.config.finding import Finding
from asd_agent.config.model import Config
from asd_agent.config.preflight.alarms import examine_monitors
from asd_agent.config.preflight.bundles import examine_bundles
from asd_agent.config.preflight.files import examine_files

__all__ = ["examine", "examine_settings"]


def examine(config: Config, utc: float | None = None) -> list[Finding]:
    """Everything: files, bundles with their golden windows, monitors.

    Args:
        config: The configuration.
        utc: Seconds since 1970, by which certificates are judged; by default now.
    """
    bundles, found = examine_bundles(config)
    return [*examine_settings(config, bundles, utc), *found]


def examine_settings(config: Config, bundles: Mapping[Path, Bundle], utc: float | None = None) -> list[Finding]:
    """The same without opening bundles.

    Args:
        config: The configuration.
        bundles: Those that could be opened, by their paths.
        utc: As for `examine`.
    """
    return [*examine_files(config, time.time() if utc is None else utc), *examine_monitors(config, bundles)]
