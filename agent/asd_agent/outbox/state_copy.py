"""A copy of all alarm states beside the outbox, so that neither is lost with one file.

It is written after each commit that has alerts. Where the outbox is absent, empty, damaged or behind it, the states
come from the copy: `seq` goes on, a standing alarm stands, and alerts that were lost show as a gap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from asd_agent.outbox.checksums import checksum
from asd_agent.whole_files import write_whole

SCHEMA = "asd.alarm-states/1"
_MOST_BYTES = 64_000_000


def seq_of(state: str) -> int:
    """Return the number of the last event of a stored state; 0 where it has none."""
    try:
        document = json.loads(state)
        seq = document.get("seq", 0) if isinstance(document, dict) else 0
    except (ValueError, RecursionError):
        return 0
    return seq if isinstance(seq, int) else 0


class StateCopy:
    """States by monitor in a file.

    Args:
        path: The file. One that cannot be read or fails its checksum counts as absent.

    Attributes:
        states: The states that the file had, and those that were written since.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.states = _read(path)

    def write(self, states: Mapping[str, str]) -> None:
        """Add states and write the file, whole or not at all.

        Raises:
            OSError: The disk refuses.
        """
        merged = {**self.states, **states}
        if merged == self.states and self.path.exists():
            return
        document = {"schema": SCHEMA, "crc": _crc(merged), "states": merged}
        write_whole(self.path, json.dumps(document).encode())
        self.states = merged


def _crc(states: Mapping[str, str]) -> int:
    return checksum(*(text for name in sorted(states) for text in (name, states[name])))


def _read(path: Path) -> dict[str, str]:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        document = json.loads(path.read_bytes())
        states = {str(name): str(state) for name, state in document["states"].items()}
        return states if document["schema"] == SCHEMA and document["crc"] == _crc(states) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
