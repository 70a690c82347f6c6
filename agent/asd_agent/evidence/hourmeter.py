"""For how long the agent has run, over restarts and reboots: the age of evidence, which no step of a clock changes.

As on a machine, the meter stands still while the agent is off, so evidence is kept rather too long than too short.
"""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

from asd_agent.clock import Clock
from asd_agent.whole_files import write_whole

log = logging.getLogger(__name__)

METER = "hours.json"


class Hourmeter:
    """Seconds that the agent has run.

    Args:
        folder: Where its file lies.
        clock: The clocks; only the monotonic one is read.
        at_least: What the meter must have shown already, in seconds: evidence bears its reading.
    """

    def __init__(self, folder: Path, clock: Clock, at_least: float = 0.0) -> None:
        self._path, self._clock = folder / METER, clock
        self._base = max(at_least, self._stored())
        self._since = clock.monotonic()

    def read(self) -> float:
        """What it shows now, in seconds."""
        return self._base + self._clock.monotonic() - self._since

    def save(self) -> None:
        """Write it down.

        Raises:
            OSError: The disk refuses.
        """
        reading = {
            "seconds": round(self.read(), 3),
            "monotonic": self._clock.monotonic(),
            "boot_id": self._clock.boot_id,
        }
        write_whole(self._path, (json.dumps(reading) + "\n").encode())

    def _stored(self) -> float:
        try:
            reading = json.loads(self._path.read_bytes())
            seconds = float(reading["seconds"])
            passed = self._clock.monotonic() - float(reading["monotonic"])
            shown = seconds + (max(0.0, passed) if reading["boot_id"] == self._clock.boot_id else 0.0)
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s); the age of evidence is counted from its newest on", self._path, error)
            return 0.0
        return shown if math.isfinite(shown) else 0.0
