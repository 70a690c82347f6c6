"""Errors that the command lines turn into one line on stderr and an exit code."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78
"""sysexits.h EX_CONFIG: systemd is told not to restart on it."""


class AsdError(Exception):
    """Something went wrong that a person can mend.

    Args:
        what: What was wrong and where, in one line.
        remedy: What would be right; shown after the message.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


class UsageError(AsdError):
    """The command was called with arguments that do not fit together."""

    exit_code = EXIT_USAGE


class ConfigError(AsdError):
    """The configuration cannot be used; nothing was started."""

    exit_code = EXIT_CONFIG


class BundleError(AsdError):
    """A bundle is damaged, incomplete or made for another version."""


class AudioError(AsdError):
    """A recording or device cannot be read."""


class DataError(AsdError):
    """A data set does not permit what was asked of it."""
