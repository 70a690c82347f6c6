"""Activations: the order in which installed bundles of one name were put to use, as a short list on the disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from asd_agent.small_files import read_small
from asd_agent.whole_files import write_whole

_KEPT = 100
"""Activations in the list: a change a week for two years."""


@dataclass(frozen=True)
class Activation:
    """A bundle that was put to use.

    Attributes:
        bundle: First 12 digits of its digest.
        at: Time in UTC; empty where the bundle was in use before this list.
    """

    bundle: str
    at: str


class ActivationList:
    """Activations of one name, oldest first.

    The list may be ahead of the bundle in use, by activations that were cut off or rolled back. Entries after the last
    activation of the bundle in use do not count.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[Activation] = []
        try:
            document = json.loads(read_small(path))
            self.entries = [Activation(str(e["bundle"]), str(e["at"])) for e in document["activated"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return

    def up_to(self, active: str | None) -> list[Activation]:
        """Return the activations up to that of the bundle in use."""
        bundles = [entry.bundle for entry in self.entries]
        if active is None:
            return []
        if active not in bundles:
            return [Activation(active, "")]
        return self.entries[: len(bundles) - bundles[::-1].index(active)]

    def before(self, active: str | None) -> str | None:
        """Return the bundle that was in use before the present one."""
        return next((entry.bundle for entry in reversed(self.up_to(active)) if entry.bundle != active), None)

    def before_rollback(self, active: str | None, target: str) -> list[Activation]:
        """Return the activations before the last one of `target`, which was in use before the present bundle."""
        entries = self.up_to(active)
        return entries[: max(i for i, entry in enumerate(entries) if entry.bundle == target)]

    def last(self, bundle: str) -> str | None:
        """Return the time of a bundle's last activation."""
        return next((entry.at for entry in reversed(self.entries) if entry.bundle == bundle and entry.at), None)

    def write(self, entries: list[Activation]) -> None:
        """Replace the list; it is on the disk when this returns.

        Raises:
            OSError: The disk refuses.
        """
        self.entries = entries[-_KEPT:]
        document = {"activated": [{"bundle": e.bundle, "at": e.at} for e in self.entries]}
        write_whole(self._path, json.dumps(document, indent=1).encode())
        self._path.chmod(0o644)  # whatever the umask: the service's user reads it
