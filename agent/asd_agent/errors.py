"""Errors that a command prints as one line on stderr, with an exit code."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h; the systemd unit does not restart the service after it."""


class AsdError(Exception):
    """An error that a person can correct.

    Args:
        what: Object and fault, in one line.
        remedy: What to do; printed after the message.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


class UsageError(AsdError):
    """Arguments of a command that do not fit together."""

    exit_code = EXIT_USAGE


class ConfigError(AsdError):
    """A configuration that cannot be used; nothing was started."""

    exit_code = EXIT_CONFIG


class BundleError(AsdError):
    """A bundle that is damaged, incomplete or made for another version."""


class AudioError(AsdError):
    """A recording or device that cannot be read."""


class DataError(AsdError):
    """A data set that does not permit what was asked of it."""
